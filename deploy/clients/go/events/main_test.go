package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	eventv1 "crosskey/proto/event/v1"
)

// script is a service whose streams are scripted: each call of Subscribe takes the next one.
type script struct {
	eventv1.UnimplementedEventServiceServer
	requests chan *eventv1.SubscribeRequest
	streams  chan func(eventv1.EventService_SubscribeServer) error
}

func (s *script) Subscribe(request *eventv1.SubscribeRequest, stream eventv1.EventService_SubscribeServer) error {
	s.requests <- request
	return (<-s.streams)(stream)
}

// batch gives the events after one sequence up to another.
func batch(after, through int64) *eventv1.SubscribeResponse {
	response := &eventv1.SubscribeResponse{FeedId: "history", AfterSequence: after, ThroughSequence: through}
	for sequence := after + 1; sequence <= through; sequence++ {
		response.Events = append(response.Events, &eventv1.Event{
			Id: fmt.Sprint("id-", sequence), Source: "user-service", Type: "user.v1.UserCreated", Sequence: sequence})
	}
	return response
}

// sends sends these, and ends the stream with the error.
func sends(err error, responses ...*eventv1.SubscribeResponse) func(eventv1.EventService_SubscribeServer) error {
	return func(stream eventv1.EventService_SubscribeServer) error {
		for _, response := range responses {
			if err := stream.Send(response); err != nil {
				return err
			}
		}
		return err
	}
}

// serve starts a service with these streams and gives a feed that reads it.
func serve(t *testing.T, streams ...func(eventv1.EventService_SubscribeServer) error) (*script, *feed) {
	t.Helper()
	s := &script{requests: make(chan *eventv1.SubscribeRequest, 10),
		streams: make(chan func(eventv1.EventService_SubscribeServer) error, 10)}
	for _, stream := range streams {
		s.streams <- stream
	}
	close(s.streams)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	eventv1.RegisterEventServiceServer(server, s)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	f, err := connect(listener.Addr().String(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return s, f
}

// follow runs the consumer on one feed and gives the sequences that it printed.
func follow(t *testing.T, f *feed, count int) (sequences string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var out bytes.Buffer
	err = run(ctx, []source{f.byGRPC}, &printer{out: bufio.NewWriter(&out), left: count}, 10*time.Second)
	if ctx.Err() != nil {
		t.Fatal("it did not end")
	}
	for lines := bufio.NewScanner(&out); lines.Scan(); {
		var event struct{ Sequence string }
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatal(err)
		}
		sequences += strings.TrimLeft(event.Sequence, "0") + " "
	}
	return strings.TrimSpace(sequences), err
}

func TestAStreamThatBreaksIsTakenUpWhereItBroke(t *testing.T) {
	draining := status.Error(codes.Unavailable, "draining")
	s, f := serve(t,
		sends(draining, batch(0, 0), batch(0, 2), batch(2, 3)), sends(draining), sends(nil, batch(3, 3), batch(3, 5)),
		sends(nil, batch(5, 9)))
	sequences, err := follow(t, f, 7)
	if err != nil || sequences != "1 2 3 4 5 6 7" {
		t.Errorf("got %q, %v", sequences, err)
	}
	for i, want := range []struct {
		feedID string
		after  int64
	}{{"", 0}, {"history", 3}, {"history", 3}, {"history", 5}} {
		if got := <-s.requests; got.GetFeedId() != want.feedID || got.GetAfterSequence() != want.after {
			t.Errorf("request %d: got %v, want %v", i, got, want)
		}
	}
}

func TestWhatAnotherTryCannotMendIsAnError(t *testing.T) {
	for name, stream := range map[string]func(eventv1.EventService_SubscribeServer) error{
		"another history": sends(status.Error(codes.FailedPrecondition, "FEED_MISMATCH")),
		"trimmed":         sends(status.Error(codes.OutOfRange, "EVENTS_TRIMMED")),
		"a gap":           sends(nil, batch(0, 2), batch(3, 4)),
		"no CloudEvent": sends(nil, &eventv1.SubscribeResponse{
			FeedId: "history", ThroughSequence: 1, Events: []*eventv1.Event{{Sequence: 1}}}),
	} {
		_, f := serve(t, stream)
		if sequences, err := follow(t, f, -1); err == nil || !strings.Contains(err.Error(), f.address) {
			t.Errorf("%s: printed %q, error %v", name, sequences, err)
		}
	}
}

func TestItGivesUpOnAServiceThatStaysAway(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	f, err := connect(address, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &printer{out: bufio.NewWriter(&bytes.Buffer{}), left: -1}
	err = run(context.Background(), []source{f.byGRPC}, p, time.Second)
	if err == nil || !strings.Contains(err.Error(), "gave up") || status.Code(errors.Unwrap(err)) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestPositions(t *testing.T) {
	for text, want := range map[string][2]int64{"0": {0, 0}, "7": {7, 7}, "7,12": {7, 12}} {
		if user, post, err := positions(text); user != want[0] || post != want[1] || err != nil {
			t.Errorf("%s: got %d, %d, %v", text, user, post, err)
		}
	}
	for _, text := range []string{"", ",", "x", "1,", "1,x", "1,2,3"} {
		if user, post, err := positions(text); err == nil {
			t.Errorf("%q: got %d, %d", text, user, post)
		}
	}
}
