package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

func failure(t *testing.T, code codes.Code, details ...protoadapt.MessageV1) error {
	t.Helper()
	failed, err := status.New(code, "a message").WithDetails(details...)
	if err != nil {
		t.Fatal(err)
	}
	return failed.Err()
}

// tries answers the tries of one write with these errors, the last one again and again, and gives their ids.
func tries(ctx context.Context, answers ...error) (ids []string, err error) {
	_, err = withRequestID(ctx, func(ctx context.Context, requestID string) (int, error) {
		ids = append(ids, requestID)
		if len(ids) > len(answers) {
			return 0, answers[len(answers)-1]
		}
		return 0, answers[len(ids)-1]
	})
	return ids, err
}

func TestWhatMayHaveTakenEffectIsRepeatedUnderTheSameID(t *testing.T) {
	soon := &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Millisecond)}
	ids, err := tries(context.Background(),
		failure(t, codes.Unavailable, soon), failure(t, codes.DeadlineExceeded, soon), nil)
	if err != nil || len(ids) != 3 || ids[0] != ids[1] || ids[1] != ids[2] {
		t.Errorf("got %v, %v", ids, err)
	}
	if _, err := uuid.Parse(ids[0]); err != nil {
		t.Error(err)
	}
	if other, _ := tries(context.Background(), nil); other[0] == ids[0] {
		t.Error("another write has the same id")
	}
}

func TestADefiniteAnswerIsNotRepeated(t *testing.T) {
	answers := []error{failure(t, codes.FailedPrecondition), failure(t, codes.Aborted), errors.New("no status")}
	for _, want := range answers {
		if ids, err := tries(context.Background(), want, nil); err != want || len(ids) != 1 {
			t.Errorf("got %v, %v", ids, err)
		}
	}
}

func TestTheTriesHaveAnEnd(t *testing.T) {
	now := &errdetails.RetryInfo{RetryDelay: durationpb.New(0)}
	if ids, err := tries(context.Background(), failure(t, codes.Unavailable, now)); err == nil || len(ids) != maxTries {
		t.Errorf("got %v, %v", ids, err)
	}
	// A long delay does not outlast the caller either.
	later := &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Hour)}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	ids, err := tries(ctx, failure(t, codes.Unavailable, later))
	if status.Code(err) != codes.Unavailable || len(ids) != 1 {
		t.Errorf("got %v, %v", ids, err)
	}
}

func TestARefusalInOneLine(t *testing.T) {
	err := failure(t, codes.FailedPrecondition,
		&errdetails.ErrorInfo{Reason: "FOREIGN_KEY_VIOLATION",
			Metadata: map[string]string{"relationship": "post.v1.Post.user_id", "resource": "users/9"}},
		&errdetails.PreconditionFailure{Violations: []*errdetails.PreconditionFailure_Violation{
			{Type: "FOREIGN_KEY", Subject: "post.v1.Post.user_id", Description: "users/9 does not exist"}}})
	want := "FAILED_PRECONDITION FOREIGN_KEY_VIOLATION: post.v1.Post.user_id refers to users/9 " +
		"(FOREIGN_KEY post.v1.Post.user_id: users/9 does not exist)"
	if got := refusal(err); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// An error that gRPC itself makes carries nothing.
	if got := refusal(failure(t, codes.Internal)); got != "INTERNAL :  refers to " {
		t.Errorf("got %q", got)
	}
}
