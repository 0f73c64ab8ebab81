package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	format "github.com/cloudevents/sdk-go/binding/format/protobuf/v2"
	"github.com/cloudevents/sdk-go/binding/format/protobuf/v2/pb"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	eventv1 "crosskey/proto/event/v1"
	postv1 "crosskey/proto/post/v1"
	userv1 "crosskey/proto/user/v1"
)

const patience = 30 * time.Second

// pairTargets are USER_ADDRESS POST_ADDRESS USER_INTERNAL POST_INTERNAL of services that run: see ../check-events.
var pairTargets = strings.Fields(os.Getenv("CROSSKEY_CHECK_EVENTS"))

func dial(t *testing.T, target string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// must is for calls that have to succeed.
func must[T any](t *testing.T) func(answer T, err error) T {
	return func(answer T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
}

// received is a CloudEvent, and its payload however the format has it.
type received struct {
	event.Event
	payload proto.Message
}

// payloadOf gives an empty message of the type that a CloudEvent names.
func payloadOf(e event.Event) (proto.Message, error) {
	for _, message := range []proto.Message{&userv1.UserCreated{}, &userv1.UserUpdated{}, &userv1.UserDeleted{},
		&postv1.PostCreated{}, &postv1.PostUpdated{}, &postv1.PostsDeleted{}, &postv1.UserPostsReclaimed{}} {
		if string(message.ProtoReflect().Descriptor().FullName()) == e.Type() {
			return message, nil
		}
	}
	return nil, fmt.Errorf("unexpected type %q", e.Type())
}

func readJSON(in *bufio.Reader) (got received, err error) {
	line, err := in.ReadBytes('\n')
	if err != nil {
		return got, err
	}
	if err := json.Unmarshal(line, &got.Event); err != nil {
		return got, fmt.Errorf("%w in %s", err, line)
	}
	if got.DataContentType() != event.ApplicationJSON || got.DataBase64 {
		return got, fmt.Errorf("data is no JSON in %s", line)
	}
	if got.payload, err = payloadOf(got.Event); err != nil {
		return got, err
	}
	return got, protojson.Unmarshal(got.Data(), got.payload)
}

func readProtobuf(in *bufio.Reader) (got received, err error) {
	message := &pb.CloudEvent{}
	if err := protodelim.UnmarshalFrom(in, message); err != nil {
		return got, err
	}
	converted, err := format.FromProto(message)
	if err != nil {
		return got, err
	}
	got.Event = *converted
	got.payload, err = message.GetProtoData().UnmarshalNew()
	return got, err
}

// consumer is the program, running.
type consumer struct {
	name     string
	command  *exec.Cmd
	received chan received
	failed   chan error
}

// start starts it, and leaves the events to read in a channel.
func start(t *testing.T, program, name, from string, read func(*bufio.Reader) (received, error)) *consumer {
	t.Helper()
	c := &consumer{name: name, received: make(chan received, 1000), failed: make(chan error, 1)}
	c.command = exec.Command(program, "-format", name, "-from", from, pairTargets[2], pairTargets[3])
	c.command.Stderr = os.Stderr
	out, err := c.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.command.Process.Kill() })
	go func() {
		in := bufio.NewReader(out)
		for {
			got, err := read(in)
			if err != nil {
				c.failed <- err
				return
			}
			c.received <- got
		}
	}()
	return c
}

// stop ends it as an operator would.
func (c *consumer) stop(t *testing.T) {
	t.Helper()
	if err := c.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-c.failed; err != io.EOF {
		t.Errorf("%s: output: %v", c.name, err)
	}
	if err := c.command.Wait(); err != nil {
		t.Errorf("%s: %v", c.name, err)
	}
}

// TestTheFeedsOfAPair makes changes in services that run, while the program follows both feeds in each format.
func TestTheFeedsOfAPair(t *testing.T) {
	if len(pairTargets) == 0 {
		t.Skip("there are no services: see check-events")
	}
	if len(pairTargets) != 4 {
		t.Fatal("CROSSKEY_CHECK_EVENTS must be USER_ADDRESS POST_ADDRESS USER_INTERNAL POST_INTERNAL")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	traceID := "00-" + strings.ReplaceAll(uuid.NewString(), "-", "")
	ctx = metadata.AppendToOutgoingContext(ctx, "traceparent", traceID+"-00f067aa0ba902b7-01")
	users := userv1.NewUserServiceClient(dial(t, pairTargets[0]))
	posts := postv1.NewPostServiceClient(dial(t, pairTargets[1]))

	// From the heads on, where both feeds may have a long past.
	var heads []int64
	for _, target := range pairTargets[2:] {
		feed := eventv1.NewEventServiceClient(dial(t, target))
		info := must[*eventv1.GetFeedInfoResponse](t)(feed.GetFeedInfo(ctx, &eventv1.GetFeedInfoRequest{}))
		heads = append(heads, info.GetHead())
	}
	program := filepath.Join(t.TempDir(), "events")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	from := fmt.Sprintf("%d,%d", heads[0], heads[1])
	consumers := []*consumer{start(t, program, "json", from, readJSON), start(t, program, "proto", from, readProtobuf)}

	user := must[*userv1.CreateUserResponse](t)(
		users.CreateUser(ctx, &userv1.CreateUserRequest{Username: "ada-" + uuid.NewString()[:8]})).GetUser()
	rename := &userv1.UpdateUserRequest{User: &userv1.User{Id: user.GetId(), Username: user.GetUsername() + "-too"}}
	must[*userv1.UpdateUserResponse](t)(users.UpdateUser(ctx, rename))
	var made []*postv1.Post
	for i := 0; i < 2; i++ {
		create := &postv1.CreatePostRequest{Title: "A post", UserId: user.GetId()}
		made = append(made, must[*postv1.CreatePostResponse](t)(posts.CreatePost(ctx, create)).GetPost())
	}
	change := &postv1.UpdatePostRequest{Post: &postv1.Post{Id: made[0].GetId(), Title: "Another title"}}
	must[*postv1.UpdatePostResponse](t)(posts.UpdatePost(ctx, change))
	must[*postv1.LikePostResponse](t)(
		posts.LikePost(ctx, &postv1.LikePostRequest{PostId: made[0].GetId(), UserId: user.GetId()}))
	must[*postv1.DeletePostResponse](t)(posts.DeletePost(ctx, &postv1.DeletePostRequest{Id: made[1].GetId()}))
	deletion := must[*userv1.DeleteUserResponse](t)(
		users.DeleteUser(ctx, &userv1.DeleteUserRequest{Id: user.GetId()})).GetDeletion()

	userSubject := fmt.Sprint("users/", user.GetId())
	subjects := []string{fmt.Sprint("posts/", made[0].GetId()), fmt.Sprint("posts/", made[1].GetId())}
	var deleted []*postv1.DeletedPost
	for _, post := range made {
		deleted = append(deleted, &postv1.DeletedPost{Id: post.GetId(), Uid: post.GetUid()})
	}
	type expected struct {
		subject string
		payload proto.Message
		traced  bool // made by one of the calls above, not in the background
	}
	want := map[string][]expected{
		"user-service": {
			{userSubject, &userv1.UserCreated{Id: user.GetId(), Uid: user.GetUid()}, true},
			{userSubject, &userv1.UserUpdated{Id: user.GetId(), Uid: user.GetUid(), Paths: []string{"username"}}, true},
			{userSubject, &userv1.UserDeleted{
				Id: user.GetId(), Uid: user.GetUid(), DeletionId: deletion.GetDeletionId()}, true},
		},
		"post-service": {
			{subjects[0], &postv1.PostCreated{Id: made[0].GetId(), Uid: made[0].GetUid(), UserId: user.GetId()}, true},
			{subjects[1], &postv1.PostCreated{Id: made[1].GetId(), Uid: made[1].GetUid(), UserId: user.GetId()}, true},
			{subjects[0], &postv1.PostUpdated{Id: made[0].GetId(), Uid: made[0].GetUid(), Paths: []string{"title"}}, true},
			{subjects[1], &postv1.PostsDeleted{Posts: deleted[1:]}, true},
			{userSubject, &postv1.PostsDeleted{Posts: deleted[:1]}, false},
			{userSubject, &postv1.UserPostsReclaimed{
				DeletionId: deletion.GetDeletionId(), UserId: user.GetId(), Uid: user.GetUid(), Posts: 1, Likes: 1}, false},
		},
	}

	ids := map[string]string{} // of the events by source and sequence, as the first format has them
	for _, c := range consumers {
		next := map[string]int64{"user-service": heads[0] + 1, "post-service": heads[1] + 1}
		left := map[string][]expected{"user-service": want["user-service"], "post-service": want["post-service"]}
		for len(left["user-service"])+len(left["post-service"]) > 0 {
			var got received
			select {
			case got = <-c.received:
			case err := <-c.failed:
				t.Fatalf("%s: %v", c.name, err)
			case <-ctx.Done():
				t.Fatalf("%s: these did not come: %v", c.name, left)
			}
			if err := got.Validate(); err != nil {
				t.Errorf("%s: invalid: %v: %v", c.name, err, got)
			}
			source := got.Source()
			sequence := fmt.Sprintf("%019d", next[source])
			if got.Extensions()["sequence"] != sequence {
				t.Fatalf("%s: want %s of %s, got %v", c.name, sequence, source, got)
			}
			next[source]++
			if first, known := ids[source+sequence]; known && first != got.ID() {
				t.Errorf("%s: %s of %s is %s, and %s in the other format", c.name, sequence, source, got.ID(), first)
			}
			ids[source+sequence] = got.ID()
			// Others may be using the services too.
			if got.Subject() != userSubject && got.Subject() != subjects[0] && got.Subject() != subjects[1] {
				continue
			}
			if len(left[source]) == 0 {
				t.Fatalf("%s: not expected: %v", c.name, got)
			}
			now := left[source][0]
			left[source] = left[source][1:]
			if got.Subject() != now.subject || got.Type() != string(now.payload.ProtoReflect().Descriptor().FullName()) ||
				!proto.Equal(got.payload, now.payload) {
				t.Errorf("%s: want %v, got %v", c.name, now, got)
			}
			// The trace of the call; the span is the service's own.
			if trace, _ := got.Extensions()["traceparent"].(string); now.traced && !strings.HasPrefix(trace, traceID) {
				t.Errorf("%s: the traceparent is %q, not of the trace %s: %v", c.name, trace, traceID, got)
			}
			if age := time.Since(got.Time()); age < -time.Minute || age > time.Hour {
				t.Errorf("%s: the time is %v", c.name, got.Time())
			}
		}
		c.stop(t)
	}
}
