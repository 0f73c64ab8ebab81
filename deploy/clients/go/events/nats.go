package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"

	"crosskey/cloudevents"
)

const (
	// How long a request to NATS may take.
	answer = 5 * time.Second
	// After this long without a message it is looked whether the stream is still the same.
	idle = 5 * time.Second
	// How many messages behind the last event may be somebody else's.
	lookBack = 100
)

// brokenError is one after which another try may read on.
type brokenError struct{ error }

func broken(err error) error { return brokenError{err} }

func isBroken(err error) bool { return errors.As(err, &brokenError{}) }

// natsAccess is where the servers are, and what they are shown. All but url name files.
type natsAccess struct{ url, ca, cert, key, credentials, password string }

// natsTarget is a URL in its parts.
type natsTarget struct {
	servers, user, prefix string
	secure                bool
}

var prefixes = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// parseTarget reads nats://[USER@]HOST:PORT[,HOST:PORT...][/PREFIX], or tls://.
func parseTarget(text string) (target natsTarget, err error) {
	scheme, rest, _ := strings.Cut(text, "://")
	if scheme != "nats" && scheme != "tls" {
		return target, fmt.Errorf("-nats: %q is neither nats:// nor tls://", text)
	}
	target.secure = scheme == "tls"
	hosts, prefix, named := strings.Cut(rest, "/")
	target.prefix = prefix
	if !named {
		target.prefix = "crosskey"
	}
	if !prefixes.MatchString(target.prefix) {
		return target, fmt.Errorf("-nats: the prefix %q has to be of letters, digits, - and _", target.prefix)
	}
	if user, after, found := strings.Cut(hosts, "@"); found {
		if user == "" || strings.Contains(user, ":") {
			return target, fmt.Errorf("-nats: %q is no user; a password goes into -nats-password-file", user)
		}
		target.user, hosts = user, after
	}
	var servers []string
	for _, server := range strings.Split(hosts, ",") {
		if host, port, err := net.SplitHostPort(server); err != nil || host == "" || port == "" {
			return target, fmt.Errorf("-nats: %q is not HOST:PORT", server)
		}
		servers = append(servers, scheme+"://"+server)
	}
	target.servers = strings.Join(servers, ",")
	return target, nil
}

// options gives those of the connection.
func (a natsAccess) options(target natsTarget) ([]nats.Option, error) {
	options := []nats.Option{nats.Name("crosskey events"), nats.CustomInboxPrefix("_INBOX." + target.prefix + ".events"),
		nats.MaxReconnects(-1), nats.ReconnectWait(retry)}
	if !target.secure && a.ca+a.cert+a.key != "" {
		return nil, errors.New("-nats-ca, -nats-cert and -nats-key need tls://")
	}
	if (a.cert == "") != (a.key == "") {
		return nil, errors.New("-nats-cert and -nats-key belong together, and only one is there")
	}
	if target.secure {
		options = append(options, nats.Secure(&tls.Config{MinVersion: tls.VersionTLS12}))
	}
	if a.ca != "" {
		options = append(options, nats.RootCAs(a.ca))
	}
	if a.cert != "" {
		options = append(options, nats.ClientCert(a.cert, a.key))
	}
	if a.credentials != "" {
		options = append(options, nats.UserCredentials(a.credentials))
	}
	if a.password != "" && target.user == "" {
		return nil, errors.New("-nats-password-file needs a USER in -nats")
	}
	if target.user != "" {
		var password []byte
		if a.password != "" {
			var err error
			if password, err = os.ReadFile(a.password); err != nil {
				return nil, err
			}
		}
		options = append(options, nats.UserInfo(target.user, strings.TrimRight(string(password), "\r\n")))
	}
	return options, nil
}

// connect connects with the first server that answers, and gives the prefix of the streams too. It tries for as long as
// patience says. From then on the connection mends itself.
func (a natsAccess) connect(ctx context.Context, patience time.Duration) (nats.JetStreamContext, string, error) {
	target, err := parseTarget(a.url)
	if err != nil {
		return nil, "", err
	}
	options, err := a.options(target)
	if err != nil {
		return nil, "", err
	}
	var conn *nats.Conn
	err = (&feed{}).persist(ctx, target.servers, patience, func() (bool, error) {
		conn, err = nats.Connect(target.servers, options...)
		return false, err
	}, func(err error) bool {
		var network net.Error
		return errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) || errors.As(err, &network)
	})
	if err != nil {
		return nil, "", err
	}
	streams, err := conn.JetStream()
	return streams, target.prefix, err
}

// stream is one service's events in NATS. What has been read is the position of the feed, as with gRPC: the stream's
// own sequence begins anew when a lost stream is filled again.
type stream struct {
	*feed
	streams        nats.JetStreamContext
	name, subjects string
	idle           time.Duration
}

// newStream makes it. If the feed has an address, holes are filled from there.
func newStream(streams nats.JetStreamContext, prefix, service string, f *feed) *stream {
	return &stream{feed: f, streams: streams, name: prefix + "_" + service, subjects: prefix + "." + service + ".>",
		idle: idle}
}

// follow prints events until ctx ends. It gives up on NATS as feed.follow gives up on a service.
func (s *stream) follow(ctx context.Context, p *printer, patience time.Duration) error {
	attempt := func() (bool, error) { return s.read(ctx, p, patience) }
	return s.persist(ctx, s.name, patience, attempt, isBroken)
}

// history tells the present history of a stream from older ones, whose messages a stream still has after a repair.
type history struct {
	made time.Time // when the stream was made: another time is another stream
	old  uint64    // up to this message of the stream there may be older histories
}

// read reads the stream from its beginning, passing over what has been read before, until something breaks.
func (s *stream) read(ctx context.Context, p *printer, patience time.Duration) (received bool, err error) {
	h, err := s.look(ctx)
	if err != nil {
		return false, err
	}
	// The client makes an ordered consumer anew by itself when messages have not come, or when it is gone.
	messages, err := s.streams.SubscribeSync(s.subjects, nats.OrderedConsumer(), nats.BindStream(s.name))
	if err != nil {
		return false, broken(err)
	}
	defer messages.Unsubscribe()
	last, waits, passed := uint64(0), false, false
	for {
		wait, cancel := context.WithTimeout(ctx, s.idle)
		message, err := messages.NextMsgWithContext(wait)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			end, err := s.end(ctx, h)
			if err != nil {
				return received, err
			}
			// A message that has come in this moment is no reason to begin again; one that still does not come is.
			if end > last && waits {
				return received, broken(fmt.Errorf("message %d does not come", end))
			}
			waits = end > last
			continue
		}
		if err != nil {
			return received, broken(err)
		}
		place, err := message.Metadata()
		if err != nil {
			return received, broken(err)
		}
		last, waits, received = place.Sequence.Stream, false, true
		read, err := cloudevents.FromNats(message.Header, message.Data)
		if err != nil {
			// Somebody else's. The services pass over it as well.
			if !passed {
				log.Printf("%s: message %d is no event, and is passed over, as are others: %v", s.name, last, err)
			}
			passed = true
			continue
		}
		if err := s.take(ctx, p, patience, read, h, last); err != nil {
			return true, err
		}
	}
}

// look finds the history of the last message. That has to be the one which is being read, if there is one.
func (s *stream) look(ctx context.Context) (h history, err error) {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	info, err := s.streams.StreamInfo(s.name, nats.Context(ctx))
	if err != nil {
		return h, broken(err)
	}
	h.made = info.Created
	message, err := s.streams.GetLastMsg(s.name, s.subjects, nats.Context(ctx))
	if errors.Is(err, nats.ErrMsgNotFound) {
		return h, nil // the stream is empty
	}
	if err != nil {
		return h, broken(err)
	}
	event, err := cloudevents.FromNats(message.Header, message.Data)
	for place := message.Sequence; err != nil; {
		// Behind the last event there may be messages of somebody else.
		place--
		if place == 0 || place < info.State.FirstSeq {
			return h, nil
		}
		if message.Sequence-place >= lookBack {
			return h, fmt.Errorf("the last %d messages of %s are no events", lookBack, s.name)
		}
		before, missing := s.streams.GetMsg(s.name, place, nats.Context(ctx))
		if errors.Is(missing, nats.ErrMsgNotFound) {
			continue
		}
		if missing != nil {
			return h, broken(missing)
		}
		event, err = cloudevents.FromNats(before.Header, before.Data)
	}
	if s.feedID != "" && s.feedID != cloudevents.FeedID(event) {
		return h, s.mismatch(cloudevents.FeedID(event))
	}
	s.feedID = cloudevents.FeedID(event)
	h.old = message.Sequence
	return h, nil
}

func (s *stream) mismatch(feedID string) error {
	return fmt.Errorf("another history: %s, after sequence %d of %s", feedID, s.position, s.feedID)
}

// same is an error if the stream is another one, of the same name.
func (s *stream) same(ctx context.Context, h history) error {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	info, err := s.streams.StreamInfo(s.name, nats.Context(ctx))
	if err != nil {
		return broken(err)
	}
	if !info.Created.Equal(h.made) {
		return broken(errors.New("the stream was made anew"))
	}
	return nil
}

// end is the place of the last message that is to come, 0 if there is none. Messages that were deleted, and those of
// other subjects, do not come.
func (s *stream) end(ctx context.Context, h history) (uint64, error) {
	if err := s.same(ctx, h); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	message, err := s.streams.GetLastMsg(s.name, s.subjects, nats.Context(ctx))
	if errors.Is(err, nats.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, broken(err)
	}
	return message.Sequence, nil
}

// take prints the event of a message, unless it has been printed before. Where events are missing before it, they are
// read from the service.
func (s *stream) take(ctx context.Context, p *printer, patience time.Duration, read event.Event, h history,
	place uint64) error {
	event, err := cloudevents.ToEvent(read)
	if err != nil {
		return fmt.Errorf("message %d: %w", place, err)
	}
	feedID := cloudevents.FeedID(read)
	if s.feedID == "" {
		s.feedID = feedID
	}
	if feedID != s.feedID {
		if place <= h.old {
			return nil
		}
		return s.mismatch(feedID)
	}
	if before := event.GetSequence() - 1; before > s.position {
		if err := s.same(ctx, h); err != nil {
			return err
		}
		if s.client == nil {
			return fmt.Errorf("a hole: after sequence %d comes %d", s.position, event.GetSequence())
		}
		log.Printf("%s: a hole: after sequence %d comes %d; reading from %s", s.name, s.position, event.GetSequence(),
			s.address)
		if err := s.feed.follow(ctx, p, patience, before); err != nil {
			return err
		}
	}
	if event.GetSequence() <= s.position {
		return nil
	}
	if err := p.print(event); err != nil {
		return err
	}
	s.position = event.GetSequence()
	return nil
}
