// Calls to the internal listener of a service, as the other service makes them.
#pragma once

#include <memory>

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

#include "common/status/identity.h"
#include "tests/support/test_database.h"

namespace crosskey::testing {

// The identity that a database has been given; without an id as long as it has none.
Instance InstanceOf(const TestDatabase& database, const std::string& service);

// A channel whose calls say that they are of one of these services for the other one: of user-service for post-service,
// or the other way round. The databases must outlive it. With TLS the server is called Secured::kHost.
std::shared_ptr<grpc::Channel> OpenInternalChannel(
    int port, const TestDatabase& users, const TestDatabase& posts, bool from_users,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials = grpc::InsecureChannelCredentials());

}  // namespace crosskey::testing
