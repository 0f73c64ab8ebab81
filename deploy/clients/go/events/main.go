// A consumer that prints the events of both services as they happen, as CloudEvents:
//
//	go run ./events [flags] USER_INTERNAL POST_INTERNAL
//	go run ./events -nats URL [flags] [USER_INTERNAL POST_INTERNAL]
//
// The addresses are those of the internal listeners. With -nats the events come from the streams in NATS: see nats.go.
// In JSON each event is a line; in the protobuf format the messages
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
	"math"
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

// follow prints events until ctx ends, or at least up to the sequence `through`. It takes the stream up again where it
// broke. It gives up on a service that cannot be reached for as long as patience says, and on errors that another try
// cannot mend: a feed with another history, or one that no longer has the events after the position.
func (f *feed) follow(ctx context.Context, p *printer, patience time.Duration, through int64) error {
	attempt := func() (bool, error) { return f.stream(ctx, p, through) }
	return f.persist(ctx, f.address, patience, attempt, func(err error) bool {
		code := status.Code(err)
		return err == io.EOF || code == codes.Unavailable || code == codes.Canceled || code == codes.ResourceExhausted
	})
}

// persist makes attempts until one ends well, or with an error that is not `broken`, or nothing has been received from
// there for as long as patience says. An attempt says whether it has received anything.
func (f *feed) persist(ctx context.Context, from string, patience time.Duration, attempt func() (bool, error),
	broken func(error) bool) error {
	heard := time.Now()
	for {
		received, err := attempt()
		if received {
			heard = time.Now()
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil || errors.Is(err, errDone):
			return err
		case !broken(err):
			return fmt.Errorf("%s: %w", from, err)
		case time.Since(heard) > patience:
			return fmt.Errorf("%s: gave up after %v: %w", from, patience, err)
		}
		if received {
			log.Printf("%s: the stream broke after sequence %d, trying again: %v", from, f.position, err)
		}
		time.Sleep(retry)
	}
}

// stream reads one stream to its end, or up to `through`, and says whether anything came.
func (f *feed) stream(ctx context.Context, p *printer, through int64) (received bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watchdog := time.AfterFunc(silence, cancel)
	defer watchdog.Stop()
	stream, err := f.client.Subscribe(ctx, &eventv1.SubscribeRequest{FeedId: f.feedID, AfterSequence: f.position})
	if err != nil {
		return false, err
	}
	for f.position < through {
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
	return received, nil
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

// source is where the events of one service come from.
type source func(ctx context.Context, p *printer, patience time.Duration) error

func (f *feed) byGRPC(ctx context.Context, p *printer, patience time.Duration) error {
	return f.follow(ctx, p, patience, math.MaxInt64)
}

func run(ctx context.Context, sources []source, p *printer, patience time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, len(sources))
	for _, follow := range sources {
		follow := follow
		go func() { ended <- follow(ctx, p, patience) }()
	}
	// When one feed ends, all of them are ended, and its error is the result.
	err := <-ended
	cancel()
	for range sources[1:] {
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
	var servers natsAccess
	flag.StringVar(&servers.url, "nats", "",
		"read the streams of these servers: nats://[USER@]HOST:PORT[,HOST:PORT...][/PREFIX], tls:// for TLS; "+
			"the addresses may be left out then")
	flag.StringVar(&servers.ca, "nats-ca", "", "the CA of the servers, a file; with tls:// only")
	flag.StringVar(&servers.cert, "nats-cert", "", "a client certificate, a file; with tls:// only")
	flag.StringVar(&servers.key, "nats-key", "", "its key, a file")
	flag.StringVar(&servers.credentials, "nats-credentials", "", "a credentials file of NATS: a JWT and its seed")
	flag.StringVar(&servers.password, "nats-password-file", "", "the password of USER, a file")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: events [flags] USER_INTERNAL POST_INTERNAL\n"+
			"       events -nats URL [flags] [USER_INTERNAL POST_INTERNAL]")
		flag.PrintDefaults()
	}
	flag.Parse()
	userPosition, postPosition, err := positions(*from)
	if flag.NArg() != 2 && (flag.NArg() != 0 || servers.url == "") || err != nil || userPosition < 0 ||
		postPosition < 0 || *count < 0 || (*form != "json" && *form != "proto") {
		flag.Usage()
		os.Exit(2)
	}
	// Without an address there is the position only.
	users, posts := &feed{position: userPosition}, &feed{position: postPosition}
	if flag.NArg() == 2 {
		if users, err = connect(flag.Arg(0), userPosition); err != nil {
			log.Fatal(err)
		}
		if posts, err = connect(flag.Arg(1), postPosition); err != nil {
			log.Fatal(err)
		}
	}
	p := &printer{out: bufio.NewWriter(os.Stdout), protobuf: *form == "proto", left: *count}
	if *count == 0 {
		p.left = -1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	sources := []source{users.byGRPC, posts.byGRPC}
	if servers != (natsAccess{}) {
		streams, prefix, err := servers.connect(ctx, *patience)
		if err != nil && ctx.Err() == nil {
			log.Fatal(err)
		}
		if err != nil {
			return
		}
		sources = []source{
			newStream(streams, prefix, "user-service", users).follow, newStream(streams, prefix, "post-service", posts).follow}
	}
	if err := run(ctx, sources, p, *patience); err != nil {
		log.Fatal(err)
	}
}
