// Package setup has what both servers of the Go pair begin with.
package setup

import (
	"context"
	"database/sql"
	"log"
	"net"
	"os/signal"
	"syscall"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Sessions is as many as the services of Crosskey have.
const Sessions = 16

// Database opens a pool. Idle sessions stay open: otherwise the pool would connect again and again.
func Database(dsn string) *sql.DB {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		log.Fatal(err)
	}
	db.SetMaxOpenConns(Sessions)
	db.SetMaxIdleConns(Sessions)
	return db
}

// Prepare keeps a statement. database/sql prepares it once in each session.
func Prepare(db *sql.DB, query string) *sql.Stmt {
	statement, err := db.Prepare(query)
	if err != nil {
		log.Fatal(err)
	}
	return statement
}

// Timestamp converts microseconds since 1970.
func Timestamp(micros int64) *timestamppb.Timestamp {
	return timestamppb.New(time.UnixMicro(micros))
}

// Serve runs the server until SIGTERM.
func Serve(server *grpc.Server, address string) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go func() {
		<-ended.Done()
		server.Stop()
	}()
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
