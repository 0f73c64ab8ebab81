// The post service of the Go pair: posts ADDRESS DSN USERS_ADDRESS
//
// It keeps the reference to the user as is usual without Crosskey: it asks the user service before it inserts. So a
// post of a user that is deleted in between stays.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"crosskey/proto/post/v1"
	"crosskey/proto/user/v1"
	"crosskey/setup"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const columns = "SELECT id, uid, user_id, title, content, like_count, create_time, update_time FROM posts "

type server struct {
	postv1.UnimplementedPostServiceServer
	db                        *sql.DB
	users                     userv1.UserServiceClient
	get, list, insert, append *sql.Stmt
}

func scan(row interface{ Scan(...any) error }) (*postv1.Post, error) {
	post := &postv1.Post{Etag: "v1"}
	var created, updated int64
	if err := row.Scan(&post.Id, &post.Uid, &post.UserId, &post.Title, &post.Content, &post.LikeCount, &created,
		&updated); err != nil {
		return nil, err
	}
	post.CreateTime, post.UpdateTime = setup.Timestamp(created), setup.Timestamp(updated)
	return post, nil
}

func (s *server) GetPost(ctx context.Context, request *postv1.GetPostRequest) (*postv1.GetPostResponse, error) {
	post, err := scan(s.get.QueryRowContext(ctx, request.Id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, status.Errorf(codes.NotFound, "posts/%d does not exist", request.Id)
	}
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	response := &postv1.GetPostResponse{Post: post}
	if !request.IncludeUser {
		return response, nil
	}
	user, err := s.users.GetUser(ctx, &userv1.GetUserRequest{Id: post.UserId})
	if err != nil {
		return nil, err
	}
	response.User = user.User
	return response, nil
}

func (s *server) ListPosts(ctx context.Context, request *postv1.ListPostsRequest) (*postv1.ListPostsResponse, error) {
	rows, err := s.list.QueryContext(ctx, request.UserId, 0, request.PageSize)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	defer rows.Close()
	response := &postv1.ListPostsResponse{}
	for rows.Next() {
		post, err := scan(rows)
		if err != nil {
			return nil, status.Error(codes.Internal, err.Error())
		}
		response.Posts = append(response.Posts, post)
	}
	if err := rows.Err(); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	if !request.IncludeUsers || len(response.Posts) == 0 {
		return response, nil
	}
	// All posts of this list have one author.
	users, err := s.users.BatchGetUsers(ctx, &userv1.BatchGetUsersRequest{Ids: []int64{request.UserId}})
	if err != nil {
		return nil, err
	}
	response.Users = map[int64]*userv1.User{}
	for _, user := range users.Users {
		response.Users[user.Id] = user
	}
	return response, nil
}

func (s *server) CreatePost(ctx context.Context, request *postv1.CreatePostRequest) (
	*postv1.CreatePostResponse, error) {
	if _, err := s.users.GetUser(ctx, &userv1.GetUserRequest{Id: request.UserId}); err != nil {
		if status.Code(err) == codes.NotFound {
			return nil, status.Error(codes.FailedPrecondition, "the user does not exist")
		}
		return nil, err
	}
	now := time.Now().UnixMicro()
	post := &postv1.Post{Uid: uuid.NewString(), Title: request.Title, UserId: request.UserId, Content: request.Content,
		CreateTime: setup.Timestamp(now), UpdateTime: setup.Timestamp(now), Etag: "v1"}
	if err := s.store(ctx, post, now); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &postv1.CreatePostResponse{Post: post}, nil
}

// store inserts the post and its event in one transaction, and sets the id of the post.
func (s *server) store(ctx context.Context, post *postv1.Post, now int64) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	result, err := tx.StmtContext(ctx, s.insert).ExecContext(ctx, post.Uid, post.UserId, post.Title, post.Content,
		now, now)
	if err != nil {
		return err
	}
	if post.Id, err = result.LastInsertId(); err != nil {
		return err
	}
	payload, err := proto.Marshal(&postv1.PostCreated{Id: post.Id, Uid: post.Uid, UserId: post.UserId})
	if err != nil {
		return err
	}
	if _, err = tx.StmtContext(ctx, s.append).ExecContext(ctx, uuid.NewString(), "post.v1.PostCreated",
		fmt.Sprintf("posts/%d", post.Id), now, payload); err != nil {
		return err
	}
	return tx.Commit()
}

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: posts ADDRESS DSN USERS_ADDRESS")
	}
	db := setup.Database(os.Args[2])
	connection, err := grpc.NewClient(os.Args[3], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	grpcServer := grpc.NewServer()
	postv1.RegisterPostServiceServer(grpcServer, &server{
		db:    db,
		users: userv1.NewUserServiceClient(connection),
		get:   setup.Prepare(db, columns+"WHERE id = ?"),
		list:  setup.Prepare(db, columns+"WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?"),
		insert: setup.Prepare(db, "INSERT INTO posts (uid, user_id, title, content, create_time, update_time) "+
			"VALUES (?, ?, ?, ?, ?, ?)"),
		append: setup.Prepare(db, "INSERT INTO outbox (event_id, type, subject, time, payload) VALUES (?, ?, ?, ?, ?)"),
	})
	setup.Serve(grpcServer, os.Args[1])
}
