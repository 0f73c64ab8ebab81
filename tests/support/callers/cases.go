// Makes the calls of a file of cases as the Go example would, and compares the answers: go run ./cases CASES_JSON
//
// It is built in a copy of deploy/clients/go. How the file is written: README.md.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/emptypb"

	"crosskey/access"
	_ "crosskey/proto/post/v1"
	_ "crosskey/proto/user/v1"
)

type test struct {
	Name, Target, Method, Answer string
	Request                      json.RawMessage
	Environment                  map[string]string
	Tokens                       []string
}

// outcome is the code, the reason unless it is the same word, and why.
func outcome(err error) string {
	words := []string{code.Code(status.Code(err)).String()}
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			if info.GetReason() != words[0] {
				words = append(words, info.GetReason())
			}
			if why, ok := info.GetMetadata()["why"]; ok {
				words = append(words, why)
			}
		}
	}
	return strings.Join(words, " ")
}

// request gives one of the method's type; an empty one if the case has none.
func (t *test) request() (proto.Message, error) {
	if t.Request == nil {
		return &emptypb.Empty{}, nil
	}
	name := protoreflect.FullName(strings.Replace(t.Method, "/", ".", 1))
	method, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		return nil, err
	}
	kind, err := protoregistry.GlobalTypes.FindMessageByName(
		method.(protoreflect.MethodDescriptor).Input().FullName())
	if err != nil {
		return nil, err
	}
	request := kind.New().Interface()
	return request, protojson.Unmarshal(t.Request, request)
}

func (t *test) call() (string, error) {
	for _, name := range []string{"CA", "CERT", "KEY", "TOKEN_FILE"} {
		os.Unsetenv("CROSSKEY_" + name)
	}
	for name, value := range t.Environment {
		os.Setenv(name, value)
	}
	options, err := access.DialOptions("")
	if err != nil {
		return "", err
	}
	conn, err := grpc.NewClient(t.Target, options...)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	request, err := t.request()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if t.Tokens == nil {
		return outcome(conn.Invoke(ctx, "/"+t.Method, request, &emptypb.Empty{})), nil
	}
	var answers []string
	for _, token := range t.Tokens {
		text, err := os.ReadFile(token)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(t.Environment["CROSSKEY_TOKEN_FILE"], text, 0600); err != nil {
			return "", err
		}
		answers = append(answers, outcome(conn.Invoke(ctx, "/"+t.Method, request, &emptypb.Empty{})))
	}
	return strings.Join(answers, ", then "), nil
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: cases CASES_JSON")
	}
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var cases []test
	if err := json.Unmarshal(text, &cases); err != nil {
		log.Fatal(err)
	}
	wrong := 0
	for _, t := range cases {
		answer, err := t.call()
		if err != nil {
			log.Fatal(t.Name, ": ", err)
		}
		if answer != t.Answer {
			wrong++
			fmt.Printf("WRONG  %s: %s, not %s\n", t.Name, answer, t.Answer)
		}
	}
	fmt.Printf("%d cases, %d wrong\n", len(cases), wrong)
	if wrong > 0 || len(cases) == 0 {
		os.Exit(1)
	}
}
