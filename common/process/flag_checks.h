// Checks of the values of flags. Each check says in words what is wrong with the value, or returns an empty string if
// the value is good.
#pragma once

#include <string>
#include <vector>

namespace crosskey::process {

// `host:port`; the host is a name, an IPv4 address or an IPv6 address in brackets, the port 0..65535.
std::string CheckAddress(const std::string& text);

// Whether only this machine can reach a listener at `address`, which CheckAddress accepts.
bool IsLoopback(const std::string& address);

// One name or several with commas between, each 1 to 500 printable ASCII characters without blanks.
std::string CheckNames(const std::string& text);

// See db::ParseUrl. The reason never repeats the value, for it may hold a password.
std::string CheckDatabase(const std::string& text);

// See ParseEventsUrl. The reason never repeats the value.
std::string CheckEvents(const std::string& text);

// A file that is there, or may be made.
std::string CheckFilePath(const std::string& path);

// A file that this process may read.
std::string CheckReadableFile(const std::string& path);

// The same; its name has no braces, see db::SessionOptions.
std::string CheckCertificates(const std::string& path);

// Decimal digits without sign or leading zero, from `min` to `max`.
std::string CheckNumber(const std::string& text, int min, int max);

// A whole number with a unit, `s`, `m` or `h`: 30s, 15m, 168h. From 0 to ten years (87600h).
std::string CheckDuration(const std::string& text);

std::string CheckOneOf(const std::string& text, const std::vector<std::string>& words);

}  // namespace crosskey::process
