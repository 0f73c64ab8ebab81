package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	userv1 "crosskey/proto/user/v1"
)

const (
	first  = "0b6d5bd2-5d0f-4b52-a1f9-8a6b0d3a2c11" // a history
	second = "9c1e8f4a-1f7b-4d0e-8a53-7f6f2b1d9e22" // another one
)

// natsServer is a nats-server with a store of its own.
type natsServer struct {
	port    string
	store   string
	command *exec.Cmd
}

// startNATS starts one on a free port. It says itself when it is ready.
func startNATS(t *testing.T, arguments ...string) *natsServer {
	t.Helper()
	s := &natsServer{port: "-1", store: t.TempDir()}
	s.start(t, arguments...)
	return s
}

func (s *natsServer) start(t *testing.T, arguments ...string) {
	t.Helper()
	program, err := exec.LookPath("nats-server")
	if err != nil {
		// Debian has it there, where not everybody looks.
		if program, err = exec.LookPath("/usr/sbin/nats-server"); err != nil {
			t.Skip("there is no nats-server (on Debian the package nats-server): the streams are NOT tested")
		}
	}
	s.command = exec.Command(program, append([]string{"-a", "127.0.0.1", "-p", s.port, "-js", "-sd", s.store},
		arguments...)...)
	out, err := s.command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	// Its log has to be read to the end, or else it stands still some day.
	ready := make(chan string, 2)
	go func() {
		var log strings.Builder
		port := ""
		for lines := bufio.NewScanner(out); lines.Scan(); {
			fmt.Fprintln(&log, lines.Text())
			if _, after, found := strings.Cut(lines.Text(), "client connections on 127.0.0.1:"); found {
				port = after
			}
			if strings.Contains(lines.Text(), "Server is ready") {
				ready <- port
			}
		}
		ready <- "ended: " + log.String()
	}()
	select {
	case s.port = <-ready:
	case <-time.After(patience):
		t.Fatal("nats-server does not become ready")
	}
	if _, err := strconv.Atoi(s.port); err != nil {
		t.Fatal("nats-server ", s.port)
	}
}

func (s *natsServer) kill() {
	s.command.Process.Kill()
	s.command.Wait()
}

func (s *natsServer) url() string { return "nats://127.0.0.1:" + s.port }

// publisher does what the services do.
type publisher struct {
	t       *testing.T
	streams nats.JetStreamContext
}

func publishTo(t *testing.T, url string, options ...nats.Option) *publisher {
	t.Helper()
	conn, err := nats.Connect(url, append(options, nats.MaxReconnects(-1), nats.ReconnectWait(retry))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	streams, err := conn.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	return &publisher{t: t, streams: streams}
}

// make makes the stream of a service.
func (p *publisher) make(prefix, service string) {
	p.t.Helper()
	if _, err := p.streams.AddStream(&nats.StreamConfig{Name: prefix + "_" + service,
		Subjects: []string{prefix + "." + service + ".>"}, Storage: nats.FileStorage, Discard: nats.DiscardOld,
		MaxAge: time.Hour, Duplicates: 2 * time.Minute}); err != nil {
		p.t.Fatal(err)
	}
}

// message is what a service publishes for one event.
func message(prefix, service, feedID string, sequence int64, kind string, payload proto.Message) *nats.Msg {
	data, err := proto.Marshal(payload)
	if err != nil {
		panic(err)
	}
	m := nats.NewMsg(prefix + "." + service + "." + kind)
	m.Data = data
	for name, value := range map[string]string{
		"ce-specversion": "1.0", "ce-id": fmt.Sprint("id-", sequence), "ce-source": service, "ce-type": kind,
		"ce-subject": "users/7", "ce-time": "2026-11-23T01:19:54.760251Z",
		"ce-sequence": fmt.Sprintf("%019d", sequence), "ce-dataschema": "https://type.googleapis.com/" + kind,
		"content-type": "application/protobuf", "ce-feedid": feedID, "ce-instanceid": first,
		"ce-traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		nats.MsgIdHdr:    fmt.Sprint(feedID, ":", sequence)} {
		m.Header.Set(name, value)
	}
	return m
}

// publish publishes events of user-service, in this order.
func (p *publisher) publish(feedID string, sequences ...int64) {
	p.t.Helper()
	for _, sequence := range sequences {
		p.send(message("crosskey", "user-service", feedID, sequence, "user.v1.UserCreated",
			&userv1.UserCreated{Id: sequence, Uid: "u"}))
	}
}

func (p *publisher) send(m *nats.Msg) {
	p.t.Helper()
	name, err := p.streams.StreamNameBySubject(m.Subject)
	if err != nil {
		p.t.Fatal(err)
	}
	info, err := p.streams.StreamInfo(name)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.streams.PublishMsg(m, nats.ExpectLastSequence(info.State.LastSeq)); err != nil {
		p.t.Fatal(err)
	}
}

// reader is the consumer of user-service's stream, running.
type reader struct {
	t     *testing.T
	lines chan string
	ended chan error
	stop  context.CancelFunc
}

// startReader starts it; f has the position, and the address of the service if there is one.
func startReader(t *testing.T, access natsAccess, f *feed, count int, patience time.Duration) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	r := &reader{t: t, lines: make(chan string, 1000), ended: make(chan error, 1), stop: cancel}
	out, in := io.Pipe()
	go func() {
		defer close(r.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			r.lines <- lines.Text()
		}
	}()
	go func() {
		defer in.Close()
		streams, prefix, err := access.connect(ctx, patience)
		if err == nil {
			s := newStream(streams, prefix, "user-service", f)
			s.idle = 200 * time.Millisecond
			err = run(ctx, []source{s.follow}, &printer{out: bufio.NewWriter(in), left: count}, patience)
		}
		r.ended <- err
	}()
	return r
}

// prints waits until these sequences have been printed, and nothing else before.
func (r *reader) prints(want ...int64) {
	r.t.Helper()
	for _, sequence := range want {
		select {
		case line, more := <-r.lines:
			var event struct{ Source, Sequence string }
			if !more {
				r.t.Fatalf("it has ended before %d", sequence)
			}
			if err := json.Unmarshal([]byte(line), &event); err != nil {
				r.t.Fatalf("%v in %s", err, line)
			}
			if event.Source != "user-service" || event.Sequence != fmt.Sprintf("%019d", sequence) {
				r.t.Fatalf("want %d, got %s", sequence, line)
			}
		case <-time.After(patience):
			r.t.Fatalf("%d has not been printed", sequence)
		}
	}
}

// ends waits for its end, and checks that nothing more has been printed. The error says this; empty: there is none.
func (r *reader) ends(says string) {
	r.t.Helper()
	select {
	case err := <-r.ended:
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			r.t.Errorf("want %q, got %v", says, err)
		}
	case <-time.After(patience):
		r.t.Fatal("it does not end")
	}
	for line := range r.lines {
		r.t.Errorf("printed too: %s", line)
	}
}

func TestTheProgramPrintsTheStreams(t *testing.T) {
	server := startNATS(t)
	p := publishTo(t, server.url())
	p.make("pair-1", "user-service")
	p.make("pair-1", "post-service")
	p.publishPair("pair-1")
	program := filepath.Join(t.TempDir(), "events")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, program, "--nats", server.url()+"/pair-1", "-from", "1,0", "-count", "3")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	got := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(line), &members); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		got[string(members["source"])+string(members["sequence"])] = line
		for _, name := range []string{"feedid", "instanceid"} {
			if members[name] != nil {
				t.Errorf("%s, as the events by gRPC have not: %s", name, line)
			}
		}
	}
	for event, want := range map[string][]string{
		`"user-service""0000000000000000002"`: {`"type":"user.v1.UserCreated"`, `"data":{"id":"2","uid":"u"}`,
			`"datacontenttype":"application/json"`, `"time":"2026-11-23T01:19:54.760251Z"`, `"subject":"users/7"`,
			`"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"`, `"specversion":"1.0"`, `"id":"id-2"`},
		`"user-service""0000000000000000003"`: {`"type":"user.v1.UserDeleted"`, `"deletionId":"5"`},
		`"post-service""0000000000000000001"`: {`"type":"post.v9.New"`, `"data_base64":"CAc="`,
			`"dataschema":"https://type.googleapis.com/post.v9.New"`},
	} {
		for _, part := range want {
			if !strings.Contains(got[event], part) {
				t.Errorf("%s: no %s in %s", event, part, got[event])
			}
		}
	}
	if len(got) != 3 {
		t.Errorf("got %s", out)
	}
}

// publishPair publishes three events of user-service, and one of post-service, of a type that is not known here.
func (p *publisher) publishPair(prefix string) {
	p.t.Helper()
	for sequence := int64(1); sequence <= 2; sequence++ {
		p.send(message(prefix, "user-service", first, sequence, "user.v1.UserCreated",
			&userv1.UserCreated{Id: sequence, Uid: "u"}))
	}
	p.send(message(prefix, "user-service", first, 3, "user.v1.UserDeleted",
		&userv1.UserDeleted{Id: 1, Uid: "u", DeletionId: 5}))
	p.send(message(prefix, "post-service", second, 1, "post.v9.New", &userv1.UserCreated{Id: 7}))
}

func TestAStreamIsFollowed(t *testing.T) {
	server := startNATS(t)
	p := publishTo(t, server.url())
	// The stream may come later than its reader.
	r := startReader(t, natsAccess{url: server.url()}, &feed{}, 5, patience)
	p.make("crosskey", "user-service")
	p.publish(first, 1, 2)
	r.prints(1, 2)
	p.publish(first, 3)
	r.prints(3)
	// Without its server for a while.
	server.kill()
	server.start(t)
	p.publish(first, 4, 5)
	r.prints(4, 5)
	r.ends("")
}

func TestALostStreamIsReadAnewWithoutWhatHasBeenRead(t *testing.T) {
	server := startNATS(t)
	p := publishTo(t, server.url())
	p.make("crosskey", "user-service")
	p.publish(first, 1, 2, 3)
	r := startReader(t, natsAccess{url: server.url()}, &feed{}, -1, patience)
	r.prints(1, 2, 3)
	if err := p.streams.DeleteStream("crosskey_user-service"); err != nil {
		t.Fatal(err)
	}
	p.make("crosskey", "user-service")
	// The service has 2 and later ones still.
	p.publish(first, 2, 3, 4)
	r.prints(4)
	p.publish(first, 5)
	r.prints(5)
	r.stop()
	r.ends("")
}

func TestAHoleIsAnError(t *testing.T) {
	server := startNATS(t)
	p := publishTo(t, server.url())
	p.make("crosskey", "user-service")
	p.publish(first, 1, 2, 4)
	r := startReader(t, natsAccess{url: server.url()}, &feed{}, -1, patience)
	r.prints(1, 2)
	r.ends("crosskey_user-service: a hole: after sequence 2 comes 4")
	// Also at the beginning.
	startReader(t, natsAccess{url: server.url()}, &feed{position: 2}, -1, patience).ends("after sequence 2 comes 4")
}

func TestAHoleIsFilledFromTheService(t *testing.T) {
	server := startNATS(t)
	p := publishTo(t, server.url())
	p.make("crosskey", "user-service")
	p.publish(first, 1, 2, 6, 7, 9)
	named := batch(2, 4)
	named.FeedId = first
	more, rest := batch(4, 6), batch(7, 8)
	more.FeedId, rest.FeedId = first, first
	service, f := serve(t, sends(status.Error(codes.Unavailable, "draining"), named), sends(nil, more), sends(nil, rest))
	r := startReader(t, natsAccess{url: server.url()}, f, 9, patience)
	r.prints(1, 2, 3, 4, 5, 6, 7, 8, 9)
	r.ends("")
	for _, after := range []int64{2, 4, 7} {
		if got := <-service.requests; got.GetFeedId() != first || got.GetAfterSequence() != after {
			t.Errorf("got %v, want what is after %d", got, after)
		}
	}
}

func TestAHoleThatTheServiceCannotFillIsAnError(t *testing.T) {
	server := startNATS(t)
	p := publishTo(t, server.url())
	p.make("crosskey", "user-service")
	p.publish(first, 1, 5)
	_, f := serve(t, sends(status.Error(codes.OutOfRange, "EVENTS_TRIMMED")))
	r := startReader(t, natsAccess{url: server.url()}, f, -1, patience)
	r.prints(1)
	r.ends("EVENTS_TRIMMED")
}

func TestAnotherHistoryIsAnError(t *testing.T) {
	server := startNATS(t)
	p := publishTo(t, server.url())
	p.make("crosskey", "user-service")
	// Who begins after a repair reads the present history alone.
	p.publish(first, 1, 2, 3)
	p.publish(second, 1, 2)
	r := startReader(t, natsAccess{url: server.url()}, &feed{}, -1, patience)
	r.prints(1, 2)
	p.publish(first, 4)
	r.ends("another history: " + first)
	startReader(t, natsAccess{url: server.url()}, &feed{feedID: second, position: 2}, -1, patience).
		ends("another history: " + first)
}

func TestMessagesOfOthersArePassedOver(t *testing.T) {
	server := startNATS(t)
	p := publishTo(t, server.url())
	p.make("crosskey", "user-service")
	p.publish(first, 1)
	junk := func() { p.send(&nats.Msg{Subject: "crosskey.user-service.junk", Data: []byte("junk")}) }
	junk()
	r := startReader(t, natsAccess{url: server.url()}, &feed{}, -1, patience)
	r.prints(1)
	junk()
	p.publish(first, 2)
	r.prints(2)
}

// Nothing comes any more of a message that was deleted. That is no reason to read the stream again.
func TestALastMessageThatWasDeletedIsNotWaitedFor(t *testing.T) {
	server := startNATS(t)
	p := publishTo(t, server.url())
	p.make("crosskey", "user-service")
	p.publish(first, 1, 2)
	if err := p.streams.DeleteMsg("crosskey_user-service", 2); err != nil {
		t.Fatal(err)
	}
	s := newStream(p.streams, "crosskey", "user-service", &feed{})
	h, err := s.look(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if end, err := s.end(context.Background(), h); end > 1 || err != nil {
		t.Errorf("the end is %d, %v", end, err)
	}
}

func TestItGivesUpOnNATSThatStaysAway(t *testing.T) {
	server := startNATS(t)
	startReader(t, natsAccess{url: server.url()}, &feed{}, -1, time.Second).ends("stream not found")
	server.kill()
	startReader(t, natsAccess{url: server.url()}, &feed{}, -1, time.Second).ends("gave up after 1s: nats: no servers")
}

func TestNATSMayWantAPassword(t *testing.T) {
	server := startNATS(t, "--user", "events", "--pass", "a secret")
	folder := t.TempDir()
	for name, text := range map[string]string{"right": "a secret\n", "wrong": "another\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := publishTo(t, server.url(), nats.UserInfo("events", "a secret"))
	p.make("crosskey", "user-service")
	p.publish(first, 1)
	url := strings.Replace(server.url(), "nats://", "nats://events@", 1)
	r := startReader(t, natsAccess{url: url, password: filepath.Join(folder, "right")}, &feed{}, 1, patience)
	r.prints(1)
	r.ends("")
	startReader(t, natsAccess{url: url, password: filepath.Join(folder, "wrong")}, &feed{}, 1, patience).
		ends("uthorization")
}

// TestTheRightsToReadAreEnough has the rights that the README tells to give.
func TestTheRightsToReadAreEnough(t *testing.T) {
	configuration, password := filepath.Join(t.TempDir(), "nats.conf"), filepath.Join(t.TempDir(), "password")
	for path, text := range map[string]string{password: "secret", configuration: `authorization { users: [
		{user: service, password: secret}
		{user: events, password: secret, permissions: {
			publish: ["$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*", "$JS.API.CONSUMER.CREATE.>",
				"$JS.API.CONSUMER.DELETE.>", "$JS.FC.>"]
			subscribe: "_INBOX.crosskey.events.>"}}]}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := startNATS(t, "-c", configuration)
	p := publishTo(t, server.url(), nats.UserInfo("service", "secret"))
	p.make("crosskey", "user-service")
	// As many as make the server wait for an answer in between.
	const count = 2000
	payload := &userv1.UserCreated{Uid: strings.Repeat("u", 5000)}
	want := []int64{}
	for sequence := int64(1); sequence <= count; sequence++ {
		want = append(want, sequence)
		m := message("crosskey", "user-service", first, sequence, "user.v1.UserCreated", payload)
		if _, err := p.streams.PublishMsgAsync(m); err != nil {
			t.Fatal(err)
		}
	}
	url := strings.Replace(server.url(), "nats://", "nats://events@", 1)
	r := startReader(t, natsAccess{url: url, password: password}, &feed{}, count, patience)
	r.prints(want...)
	r.ends("")
}

// certificates makes an authority, and a certificate for 127.0.0.1 and its key that serve a server and a client.
func certificates(t *testing.T) (ca, certificate, key string) {
	t.Helper()
	folder := t.TempDir()
	write := func(name, kind string, bytes []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	make := func(template, parent *x509.Certificate, of, by *ecdsa.PrivateKey) []byte {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		made, err := x509.CreateCertificate(rand.Reader, template, parent, of.Public(), by)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	authority := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	leaf := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	ca = write("ca.crt", "CERTIFICATE", make(root, root, authority, authority))
	certificate = write("leaf.crt", "CERTIFICATE", make(&x509.Certificate{SerialNumber: big.NewInt(2),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, root, leaf, authority))
	key = write("leaf.key", "PRIVATE KEY", must[[]byte](t)(x509.MarshalPKCS8PrivateKey(leaf)))
	return ca, certificate, key
}

func TestNATSMayWantACertificate(t *testing.T) {
	ca, certificate, key := certificates(t)
	other, _, _ := certificates(t)
	server := startNATS(t, "--tlsverify", "--tlscacert", ca, "--tlscert", certificate, "--tlskey", key)
	url := strings.Replace(server.url(), "nats://", "tls://", 1)
	p := publishTo(t, url, nats.RootCAs(ca), nats.ClientCert(certificate, key))
	p.make("crosskey", "user-service")
	p.publish(first, 1)
	r := startReader(t, natsAccess{url: url, ca: ca, cert: certificate, key: key}, &feed{}, 1, patience)
	r.prints(1)
	r.ends("")
	startReader(t, natsAccess{url: url, ca: other, cert: certificate, key: key}, &feed{}, 1, time.Second).
		ends("unknown authority")
	startReader(t, natsAccess{url: url, ca: ca}, &feed{}, 1, time.Second).ends("tls")
}

func TestTargetsInNATS(t *testing.T) {
	for text, want := range map[string]natsTarget{
		"nats://127.0.0.1:4222": {servers: "nats://127.0.0.1:4222", prefix: "crosskey"},
		"nats://a:1,b:2/pair_1": {servers: "nats://a:1,nats://b:2", prefix: "pair_1"},
		"tls://events@a.b:4222": {servers: "tls://a.b:4222", user: "events", prefix: "crosskey", secure: true},
		"nats://[::1]:4222/x":   {servers: "nats://[::1]:4222", prefix: "x"},
	} {
		if got, err := parseTarget(text); got != want || err != nil {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "127.0.0.1:4222", "http://a:1", "nats://", "nats://a", "nats://a:1,", "nats://a:1/",
		"nats://a:1/x/y", "nats://a:1/x.y", "nats://user:password@a:1", "nats://@a:1", "nats://::1:4222"} {
		if got, err := parseTarget(text); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
	for name, access := range map[string]natsAccess{
		"no URL":                  {ca: "ca.crt"},
		"a CA without TLS":        {url: "nats://a:1", ca: "ca.crt"},
		"half of a pair":          {url: "tls://a:1", cert: "client.crt"},
		"a password of nobody":    {url: "nats://a:1", password: "password"},
		"a password that is away": {url: "nats://u@a:1", password: filepath.Join(t.TempDir(), "password")},
		"a CA that is away":       {url: "tls://a:1", ca: filepath.Join(t.TempDir(), "ca.crt")},
	} {
		if _, _, err := access.connect(context.Background(), 0); err == nil || strings.Contains(err.Error(), "no servers") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
