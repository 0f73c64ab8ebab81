// A client of both services: go run ./example [-service-config FILE] USER_TARGET POST_TARGET
//
// Creates a user and posts, lists the posts in pages, reads why a post of nobody is refused, repeats a write safely,
// and deletes the user with all posts. Ends with exit code 1 if something is not as it should be. TLS and credentials
// are those of the environment: see ../access.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	postv1 "crosskey/proto/post/v1"
	userv1 "crosskey/proto/user/v1"
)

const nobody = 999999999

// refusal says in one line what an error tells a program.
func refusal(err error) string {
	info := detail[*errdetails.ErrorInfo](err)
	line := fmt.Sprintf("%s %s: %s refers to %s", code.Code(status.Code(err)), info.GetReason(),
		info.GetMetadata()["relationship"], info.GetMetadata()["resource"])
	for _, violation := range detail[*errdetails.PreconditionFailure](err).GetViolations() {
		line += fmt.Sprintf(" (%s %s: %s)", violation.GetType(), violation.GetSubject(), violation.GetDescription())
	}
	return line
}

func run(ctx context.Context, users userv1.UserServiceClient, posts postv1.PostServiceClient) error {
	name := "ada-" + uuid.NewString()[:8]
	created, err := withRequestID(ctx, func(ctx context.Context, id string) (*userv1.CreateUserResponse, error) {
		return users.CreateUser(ctx, &userv1.CreateUserRequest{Username: name, RequestId: id})
	})
	if err != nil {
		return fmt.Errorf("CreateUser: %w", err)
	}
	user := created.GetUser().GetId()
	fmt.Printf("created users/%d %q\n", user, created.GetUser().GetUsername())

	batch := &postv1.BatchCreatePostsRequest{}
	for i := 1; i <= 5; i++ {
		batch.Requests = append(batch.Requests, &postv1.CreatePostRequest{Title: fmt.Sprint("Post ", i), UserId: user})
	}
	stored, err := withRequestID(ctx, func(ctx context.Context, id string) (*postv1.BatchCreatePostsResponse, error) {
		batch.RequestId = id
		return posts.BatchCreatePosts(ctx, batch)
	})
	if err != nil {
		return fmt.Errorf("BatchCreatePosts: %w", err)
	}
	fmt.Printf("created %d posts in one call\n", len(stored.GetPosts()))

	// An empty token is the only mark of the end: a page may be short before that.
	list := &postv1.ListPostsRequest{UserId: user, PageSize: 2}
	for number := 1; number == 1 || list.PageToken != ""; number++ {
		page, err := posts.ListPosts(ctx, list)
		if err != nil {
			return fmt.Errorf("ListPosts: %w", err)
		}
		fmt.Printf("page %d: %d posts\n", number, len(page.GetPosts()))
		list.PageToken = page.GetNextPageToken()
	}

	_, err = posts.CreatePost(ctx, &postv1.CreatePostRequest{Title: "By nobody", UserId: nobody})
	if detail[*errdetails.ErrorInfo](err).GetReason() != "FOREIGN_KEY_VIOLATION" {
		return fmt.Errorf("CreatePost of nobody: want FOREIGN_KEY_VIOLATION, got: %v", err)
	}
	fmt.Println("refused:", refusal(err))

	post := &postv1.CreatePostRequest{Title: "Once", UserId: user}
	first, err := withRequestID(ctx, func(ctx context.Context, id string) (*postv1.CreatePostResponse, error) {
		post.RequestId = id
		return posts.CreatePost(ctx, post)
	})
	if err != nil {
		return fmt.Errorf("CreatePost: %w", err)
	}
	again, err := posts.CreatePost(ctx, post)
	if err != nil {
		return fmt.Errorf("CreatePost under the same request_id: %w", err)
	}
	fmt.Printf("created posts/%d, and again under the same request_id: posts/%d\n",
		first.GetPost().GetId(), again.GetPost().GetId())
	if first.GetPost().GetId() != again.GetPost().GetId() {
		return fmt.Errorf("CreatePost under the same request_id made another post")
	}

	// A deletion takes the user's posts along: look first how many.
	preview, err := users.DeleteUser(ctx, &userv1.DeleteUserRequest{Id: user, ValidateOnly: true})
	if err != nil {
		return fmt.Errorf("DeleteUser with validate_only: %w", err)
	}
	fmt.Printf("preview: deleting users/%d would delete %d posts\n", user, preview.GetDeletion().GetPosts())

	deleted, err := withRequestID(ctx, func(ctx context.Context, id string) (*userv1.DeleteUserResponse, error) {
		return users.DeleteUser(ctx, &userv1.DeleteUserRequest{Id: user, RequestId: id})
	})
	if err != nil {
		return fmt.Errorf("DeleteUser: %w", err)
	}
	fmt.Println("deleted:", deleted.GetDeletion().GetState())
	return follow(ctx, users, user)
}

// follow waits for the end of a deletion. No client has to wait for it: the posts are gone for every reader already,
// and only their rows are still to be removed.
func follow(ctx context.Context, users userv1.UserServiceClient, user int64) error {
	for {
		got, err := users.GetUserDeletion(ctx, &userv1.GetUserDeletionRequest{UserId: user})
		if err != nil {
			return fmt.Errorf("GetUserDeletion: %w", err)
		}
		if deletion := got.GetDeletion(); deletion.GetState() == userv1.DeletionState_DELETION_STATE_COMPLETED {
			fmt.Printf("followed: %s, %d posts removed\n", deletion.GetState(), deletion.GetPosts())
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func main() {
	log.SetFlags(0)
	configFile := flag.String("service-config", "../service_config.json", "how to call: retries, round_robin, health")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: example [-service-config FILE] USER_TARGET POST_TARGET")
		flag.PrintDefaults()
	}
	if flag.Parse(); flag.NArg() != 2 {
		flag.Usage()
		os.Exit(2)
	}
	config, err := os.ReadFile(*configFile)
	if err != nil {
		log.Fatal(err)
	}
	userConn, err := connect(flag.Arg(0), string(config))
	if err != nil {
		log.Fatal(err)
	}
	postConn, err := connect(flag.Arg(1), string(config))
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, userv1.NewUserServiceClient(userConn), postv1.NewPostServiceClient(postConn)); err != nil {
		log.Fatal("not as expected: ", err)
	}
}
