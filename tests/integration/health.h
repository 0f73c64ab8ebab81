// What a service says of itself by grpc.health.v1.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include "common/server/service.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/integration/api_client.h"
#include "tests/support/wait.h"

namespace crosskey::testing {

// The health of this name says that something is wrong, and the service stays ready: what does not need it goes on.
inline void ExpectUnhealthyAndReady(server::Service& service, const std::string& name) {
  const auto health = grpc::health::v1::Health::NewStub(OpenChannel(service.front().port()));
  grpc::health::v1::HealthCheckRequest request;
  grpc::health::v1::HealthCheckResponse response;
  request.set_service(name);
  EXPECT_TRUE(WaitFor([&] {
    EXPECT_TRUE(health->Check(Context().get(), request, &response).ok());
    return response.status() == grpc::health::v1::HealthCheckResponse::NOT_SERVING;
  }));
  request.set_service("readiness");
  EXPECT_TRUE(health->Check(Context().get(), request, &response).ok());
  EXPECT_EQ(response.status(), grpc::health::v1::HealthCheckResponse::SERVING);
}

}  // namespace crosskey::testing
