package main

import (
	"context"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/health" // without it the service config's healthCheckConfig has no effect
	"google.golang.org/grpc/status"

	"crosskey/access"
)

const maxTries = 5

// connect makes a channel; its first call opens the connection. Retries, round_robin and health checks are the file's,
// TLS and credentials are those of the environment.
func connect(target, serviceConfig string) (*grpc.ClientConn, error) {
	options, err := access.DialOptions("")
	if err != nil {
		return nil, err
	}
	return grpc.NewClient(target, append(options, grpc.WithDefaultServiceConfig(serviceConfig))...)
}

// withRequestID makes a write that may be repeated: as all tries carry the same id, it takes effect once, even where an
// answer was lost on the way. Without the id one could not know whether to repeat it after UNAVAILABLE.
func withRequestID[T any](ctx context.Context, call func(ctx context.Context, requestID string) (T, error)) (T, error) {
	requestID := uuid.NewString()
	for try, wait := 1, 100*time.Millisecond; ; try, wait = try+1, 2*wait {
		tryCtx, cancel := context.WithTimeout(ctx, 5*time.Second)
		answer, err := call(tryCtx, requestID)
		cancel()
		unknown := status.Code(err) == codes.Unavailable || status.Code(err) == codes.DeadlineExceeded
		if !unknown || try == maxTries {
			return answer, err
		}
		// The service knows better than a client how long it takes until another try makes sense.
		if info := detail[*errdetails.RetryInfo](err); info.GetRetryDelay() != nil {
			wait = info.GetRetryDelay().AsDuration()
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return answer, err
		}
	}
}

// detail gives the detail of type T of an error, or nil, whose getters give zero values.
func detail[T any](err error) (found T) {
	for _, any := range status.Convert(err).Details() {
		if is, ok := any.(T); ok {
			return is
		}
	}
	return found
}
