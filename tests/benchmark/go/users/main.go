// The user service of the Go pair: users ADDRESS DSN
package main

import (
	"context"
	"database/sql"
	"errors"
	"log"
	"os"
	"strings"

	"crosskey/proto/user/v1"
	"crosskey/setup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const columns = "SELECT id, uid, username, create_time, update_time FROM users "

type server struct {
	userv1.UnimplementedUserServiceServer
	db  *sql.DB
	get *sql.Stmt
}

func scan(row interface{ Scan(...any) error }) (*userv1.User, error) {
	user := &userv1.User{State: userv1.UserState_USER_STATE_ACTIVE, Etag: "v1"}
	var created, updated int64
	if err := row.Scan(&user.Id, &user.Uid, &user.Username, &created, &updated); err != nil {
		return nil, err
	}
	user.CreateTime, user.UpdateTime = setup.Timestamp(created), setup.Timestamp(updated)
	return user, nil
}

func (s *server) GetUser(ctx context.Context, request *userv1.GetUserRequest) (*userv1.GetUserResponse, error) {
	user, err := scan(s.get.QueryRowContext(ctx, request.Id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, status.Errorf(codes.NotFound, "users/%d does not exist", request.Id)
	}
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &userv1.GetUserResponse{User: user}, nil
}

func (s *server) BatchGetUsers(ctx context.Context, request *userv1.BatchGetUsersRequest) (
	*userv1.BatchGetUsersResponse, error) {
	// The usual case is the author of a page.
	if len(request.Ids) == 1 {
		one, err := s.GetUser(ctx, &userv1.GetUserRequest{Id: request.Ids[0]})
		if status.Code(err) == codes.NotFound {
			return &userv1.BatchGetUsersResponse{NotFoundIds: request.Ids}, nil
		}
		if err != nil {
			return nil, err
		}
		return &userv1.BatchGetUsersResponse{Users: []*userv1.User{one.User}}, nil
	}
	ids := make([]any, len(request.Ids))
	for i, id := range request.Ids {
		ids[i] = id
	}
	marks := strings.TrimSuffix(strings.Repeat("?,", len(ids)), ",")
	rows, err := s.db.QueryContext(ctx, columns+"WHERE id IN ("+marks+")", ids...)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	defer rows.Close()
	response := &userv1.BatchGetUsersResponse{}
	for rows.Next() {
		user, err := scan(rows)
		if err != nil {
			return nil, status.Error(codes.Internal, err.Error())
		}
		response.Users = append(response.Users, user)
	}
	if err := rows.Err(); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return response, nil
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: users ADDRESS DSN")
	}
	db := setup.Database(os.Args[2])
	grpcServer := grpc.NewServer()
	userv1.RegisterUserServiceServer(grpcServer, &server{db: db, get: setup.Prepare(db, columns+"WHERE id = ?")})
	setup.Serve(grpcServer, os.Args[1])
}
