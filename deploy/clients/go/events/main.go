// A consumer that prints the events of both services as they happen, as CloudEvents:
//
//	go run ./events [flags] USER_INTERNAL POST_INTERNAL
//
// The addresses are those of the internal listeners. In JSON each event is a line; in the protobuf format the messages
// (io.cloudevents.v1.CloudEvent) follow each other with their lengths before them, as protobuf delimits streams. TLS
// and credentials are those of the environment: see ../access. CROSSKEY_IDENTITY has the URIs of both services, with
// commas between: their certificates for internal listeners have no host name.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protodelim"

	"crosskey/access"
	"crosskey/cloudevents"
	eventv1 "crosskey/proto/event/v1"
)

const (
	// A feed sends a bookmark every 5 seconds when nothing happens. So a stream that is silent for this long is dead.
	silence = 15 * time.Second
	retry   = 200 * time.Millisecond
)

// errDone says that as many events have been printed as were asked for.
var errDone = errors.New("done")

// printer writes the events of all feeds, one at a time.
type printer struct {
	mutex    sync.Mutex
	out      *bufio.Writer
	protobuf bool
	left     int // how many more events; below zero: no end
}

func (p *printer) print(in *eventv1.Event) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.left == 0 {
		return errDone
	}
	if err := p.write(in); err != nil {
		return err
	}
	// Somebody may be watching, so the event must be seen at once.
	if err := p.out.Flush(); err != nil {
		return err
	}
	if p.left--; p.left == 0 {
		return errDone
	}
	return nil
}

func (p *printer) write(in *eventv1.Event) error {
	if p.protobuf {
		message, err := cloudevents.ToProto(in)
		if err != nil {
			return err
		}
		_, err = protodelim.MarshalTo(p.out, message)
		return err
	}
	converted, err := cloudevents.FromEvent(in)
	if err != nil {
		return err
	}
	line, err := json.Marshal(converted)
	if err != nil {
		return err
	}
	_, err = p.out.Write(append(line, '\n'))
	return err
}

// feed is one service's log of events, and how far it has been read. A consumer that must go on after a restart stores
// feedID and position together with the effects of the events.
type feed struct {
	address  string
	client   eventv1.EventServiceClient
	feedID   string
	position int64
}

// follow prints events until ctx ends, and takes the stream up again where it broke. It gives up on a service that
// cannot be reached for as long as patience says, and on errors that another try cannot mend: a feed with another
// history, or one that no longer has the events after the position.
func (f *feed) follow(ctx context.Context, p *printer, patience time.Duration) error {
	heard := time.Now()
	for {
		received, err := f.stream(ctx, p)
		if received {
			heard = time.Now()
		}
		code := status.Code(err)
		broken := err == io.EOF || code == codes.Unavailable || code == codes.Canceled || code == codes.ResourceExhausted
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errDone):
			return err
		case !broken:
			return fmt.Errorf("%s: %w", f.address, err)
		case time.Since(heard) > patience:
			return fmt.Errorf("%s: gave up after %v: %w", f.address, patience, err)
		}
		if received {
			log.Printf("%s: the stream broke after sequence %d, trying again: %v", f.address, f.position, err)
		}
		time.Sleep(retry)
	}
}

// stream reads one stream to its end, and says whether anything came.
func (f *feed) stream(ctx context.Context, p *printer) (received bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watchdog := time.AfterFunc(silence, cancel)
	defer watchdog.Stop()
	stream, err := f.client.Subscribe(ctx, &eventv1.SubscribeRequest{FeedId: f.feedID, AfterSequence: f.position})
	if err != nil {
		return false, err
	}
	for {
		batch, err := stream.Recv()
		if err != nil {
			return received, err
		}
		received = true
		watchdog.Reset(silence)
		// The feed promises that nothing is left out.
		if batch.GetAfterSequence() != f.position {
			return true, fmt.Errorf("a gap: after %d comes what is after %d", f.position, batch.GetAfterSequence())
		}
		f.feedID = batch.GetFeedId()
		for _, event := range batch.GetEvents() {
			if err := p.print(event); err != nil {
				return true, err
			}
			f.position = event.GetSequence()
		}
		f.position = batch.GetThroughSequence()
	}
}

// positions reads "N" or "N,M".
func positions(text string) (user, post int64, err error) {
	first, second, two := strings.Cut(text, ",")
	if user, err = strconv.ParseInt(first, 10, 64); err != nil || !two {
		return user, user, err
	}
	post, err = strconv.ParseInt(second, 10, 64)
	return user, post, err
}

func connect(address string, position int64) (*feed, error) {
	// Without this, gRPC may wait up to two minutes before it tries a service again that was away for long.
	again := backoff.DefaultConfig
	again.MaxDelay = 2 * time.Second
	options, err := access.DialOptions(os.Getenv("CROSSKEY_IDENTITY"))
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(address, append(options,
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: again, MinConnectTimeout: 5 * time.Second}))...)
	if err != nil {
		return nil, err
	}
	return &feed{address: address, client: eventv1.NewEventServiceClient(conn), position: position}, nil
}

func run(ctx context.Context, feeds []*feed, p *printer, patience time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, len(feeds))
	for _, f := range feeds {
		f := f
		go func() { ended <- f.follow(ctx, p, patience) }()
	}
	// When one feed ends, all of them are ended, and its error is the result.
	err := <-ended
	cancel()
	for range feeds[1:] {
		<-ended
	}
	if errors.Is(err, errDone) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func main() {
	log.SetFlags(0)
	from := flag.String("from", "0",
		"print what comes after this sequence; two, as in 7,12, for user-service and post-service")
	form := flag.String("format", "json", "json: a line for each event; proto: delimited io.cloudevents.v1.CloudEvent")
	count := flag.Int("count", 0, "end after so many events of both together; 0: never")
	patience := flag.Duration("patience", 30*time.Second, "give up when a service cannot be reached for so long")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: events [flags] USER_INTERNAL POST_INTERNAL")
		flag.PrintDefaults()
	}
	flag.Parse()
	userPosition, postPosition, err := positions(*from)
	if flag.NArg() != 2 || err != nil || userPosition < 0 || postPosition < 0 || *count < 0 ||
		(*form != "json" && *form != "proto") {
		flag.Usage()
		os.Exit(2)
	}
	users, err := connect(flag.Arg(0), userPosition)
	if err != nil {
		log.Fatal(err)
	}
	posts, err := connect(flag.Arg(1), postPosition)
	if err != nil {
		log.Fatal(err)
	}
	p := &printer{out: bufio.NewWriter(os.Stdout), protobuf: *form == "proto", left: *count}
	if *count == 0 {
		p.left = -1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, []*feed{users, posts}, p, *patience); err != nil {
		log.Fatal(err)
	}
}
