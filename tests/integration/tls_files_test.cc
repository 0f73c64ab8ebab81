// rpc::TlsFiles: which files are taken, when, and what is said of those that are not.
#include <algorithm>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/telemetry/log.h"
#include "tests/integration/tls_listener.h"

namespace crosskey::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class TlsFilesTest : public TlsTest {};

// The files are links to a folder that is switched, as Kubernetes does it.
TEST_F(TlsFilesTest, LinksThatAreSwitchedAreNoticed) {
  namespace fs = std::filesystem;
  const auto fill = [&](const std::string& name, const KeyAndCertificate& pair) {
    fs::create_directory(folder_.Path(name));
    folder_.Write(name + "/tls.crt", pair.certificate);
    folder_.Write(name + "/tls.key", pair.key);
    fs::create_directory_symlink(name, folder_.Path("next"));
    fs::rename(folder_.Path("next"), folder_.Path("data"));
  };
  fill("1", ca_.Issue({{kUsers}}));
  fs::create_symlink("data/tls.crt", folder_.Path("tls.crt"));
  fs::create_symlink("data/tls.key", folder_.Path("tls.key"));
  const auto files = Load({folder_.Path("tls.crt"), folder_.Path("tls.key"), ""});
  const double end = End();
  fill("2", ca_.Issue({{kUsers}, {}, absl::Now(), absl::Now() + absl::Hours(48)}));
  files->Look(absl::Now());
  EXPECT_GT(End(), end);
}

TEST_F(TlsFilesTest, ACertificateThatBeginsLaterIsTakenThen) {
  const auto files = Load(Write("server", ca_.Issue({{kUsers}})));
  const double end = End();
  Write("server", ca_.Issue({{kUsers}, {}, absl::Now() + absl::Hours(1), absl::Now() + absl::Hours(48)}));
  files->Look(absl::Now());
  EXPECT_EQ(Problem(), 1);
  EXPECT_EQ(End(), end);
  files->Look(absl::Now() + absl::Hours(2));
  EXPECT_EQ(Problem(), 0);
  EXPECT_GT(End(), end);
}

TEST_F(TlsFilesTest, EachProblemIsToldOnceAndNoSecretWithIt) {
  const auto files = Load(Write("server", right_));
  log::Setup(log::Level::kWarning, log::Format::kText, "test");
  ::testing::internal::CaptureStderr();
  Write("server", {of_other_.key, right_.certificate});
  for (int i = 0; i < 3; ++i) files->Look(absl::Now());
  Write("server", expired_);
  for (int i = 0; i < 3; ++i) files->Look(absl::Now());
  const std::string text = ::testing::internal::GetCapturedStderr();
  log::Setup(log::Level::kError, log::Format::kText, "test");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << text;
  EXPECT_THAT(text, HasSubstr(folder_.Path("server.key: is not the key of the first certificate of")));
  EXPECT_THAT(text, HasSubstr(folder_.Path("server.crt: the certificate has expired at ")));
  EXPECT_THAT(text, Not(HasSubstr("BEGIN")));
  EXPECT_THAT(text, Not(HasSubstr(of_other_.key.substr(40, 20))));
}

TEST_F(TlsFilesTest, AFileThatIsOfNoUseIsRefusedAtTheStartWithItsNameAndTheReason) {
  const auto why = [&](const rpc::TlsPaths& paths, rpc::TlsUse use = rpc::TlsUse::kServer) {
    const auto files = TlsFiles::Load({"public", "tls", paths, use}, metrics_);
    EXPECT_EQ(files.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(files.status().message());
  };
  const std::string crt = folder_.Path("a.crt"), key = folder_.Path("a.key"), ca = folder_.Path("a.ca");
  const auto& good = right_;
  EXPECT_EQ(why({folder_.Path("none"), key, ""}), folder_.Path("none: cannot be read: No such file or directory"));
  EXPECT_EQ(why(Write("a", {good.key, ""})), crt + ": has no certificate");
  EXPECT_EQ(why(Write("a", {"", good.certificate})), key + ": has no private key that can be read");
  EXPECT_EQ(why(Write("a", {good.key, "nothing"})), crt + ": has no certificate");
  EXPECT_EQ(why(Write("a", {"nothing", good.certificate})), key + ": has no private key that can be read");
  EXPECT_EQ(why(Write("a", {good.certificate, good.certificate})), key + ": has no private key that can be read");
  EXPECT_EQ(why(Write("a", {good.key.substr(0, 100), good.certificate})),
            key + ": has no private key that can be read");
  const std::string half = good.certificate.substr(0, good.certificate.size() / 2);
  EXPECT_THAT(why(Write("a", {good.key, half})), StartsWith(crt + ": certificate 1 cannot be read: "));
  EXPECT_THAT(why(Write("a", {good.key, good.certificate + half})),
              StartsWith(crt + ": certificate 2 cannot be read: "));
  EXPECT_EQ(why(Write("a", ca_.IssueEncrypted({{kPosts}}))), key + ": the private key is encrypted");
  EXPECT_EQ(why(Write("a", {of_other_.key, good.certificate})),
            key + ": is not the key of the first certificate of " + crt);
  EXPECT_EQ(why(Write("a", {good.key, ca_.certificate() + good.certificate})),
            key + ": is not the key of the first certificate of " + crt);
  EXPECT_THAT(why(Write("a", expired_)), StartsWith(crt + ": the certificate has expired at 20"));
  EXPECT_THAT(why(Write("a", early_)), StartsWith(crt + ": the certificate is not valid before 20"));
  EXPECT_THAT(why(Write("a", ca_.IssueWeak({{kPosts}}))), StartsWith(crt + ": TLS does not take the certificate: "));
  Leaf for_servers{{kPosts}};
  for_servers.for_clients = false;
  EXPECT_EQ(why(Write("a", ca_.Issue(for_servers)), rpc::TlsUse::kServerAndClient),
            crt + ": the certificate may not be used by a client (its extended key usage)");
  EXPECT_THAT(TlsFiles::Load({"public", "tls", Write("a", ca_.Issue(for_servers))}, metrics_), IsOk());
  EXPECT_EQ(why(Write("a", good, "nothing")), ca + ": has no certificate");
  EXPECT_THAT(why(Write("a", good, ca_.certificate() + half)), StartsWith(ca + ": certificate 2 cannot be read: "));
  EXPECT_EQ(why(Write("a", {good.key, std::string(limits::kTlsFileBytes + 1, 'x')})),
            absl::StrCat(crt, ": has more than ", limits::kTlsFileBytes, " bytes"));
}

}  // namespace
}  // namespace crosskey::testing
