package cloudevents

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	eventv1 "crosskey/proto/event/v1"
	userv1 "crosskey/proto/user/v1"
)

const feedID = "0b6d5bd2-5d0f-4b52-a1f9-8a6b0d3a2c11"

// published gives the headers and the data that a service publishes for an event.
func published(in *eventv1.Event) (map[string][]string, []byte) {
	header := map[string][]string{
		"ce-specversion": {"1.0"}, "ce-id": {in.GetId()}, "ce-source": {in.GetSource()}, "ce-type": {in.GetType()},
		"ce-subject": {in.GetSubject()}, "ce-time": {in.GetTime().AsTime().Format("2006-01-02T15:04:05.000000Z")},
		"ce-sequence":   {fmt.Sprintf("%019d", in.GetSequence())},
		"ce-dataschema": {"https://" + in.GetPayload().GetTypeUrl()}, "content-type": {"application/protobuf"},
		"ce-feedid": {feedID}, "ce-instanceid": {uid}, "Nats-Msg-Id": {fmt.Sprint(feedID, ":", in.GetSequence())},
	}
	if in.GetTraceparent() != "" {
		header["ce-traceparent"] = []string{in.GetTraceparent()}
	}
	return header, in.GetPayload().GetValue()
}

// sameByNATS checks that an event is the same by NATS as by gRPC: then both formats of it are the same too.
func sameByNATS(t *testing.T, in *eventv1.Event) {
	t.Helper()
	read, err := FromNats(published(in))
	if err != nil {
		t.Fatal(err)
	}
	if FeedID(read) != feedID || read.Extensions()["instanceid"] != uid || read.Type() != in.GetType() ||
		read.DataContentType() != "application/protobuf" || !bytes.Equal(read.Data(), in.GetPayload().GetValue()) ||
		read.DataSchema() != "https://"+in.GetPayload().GetTypeUrl() {
		t.Errorf("got %v", read)
	}
	out, err := ToEvent(read)
	if err != nil || !proto.Equal(out, in) {
		t.Errorf("got %v, %v, want %v", out, err, in)
	}
}

func TestAnEventByNATSIsTheOneByGRPC(t *testing.T) {
	forEachPayload(t, func(t *testing.T, in *eventv1.Event, payload proto.Message) { sameByNATS(t, in) })
	t.Run("a payload of zeros", func(t *testing.T) { sameByNATS(t, envelope(t, "user-service", &userv1.UserCreated{})) })
	t.Run("a type that is not known", func(t *testing.T) { sameByNATS(t, unknown(t)) })
	t.Run("the largest sequence", func(t *testing.T) {
		in := envelope(t, "user-service", &userv1.UserCreated{Id: 7, Uid: uid})
		in.Sequence = 1<<63 - 1
		read, err := FromNats(published(in))
		if err != nil || read.Extensions()["sequence"] != "9223372036854775807" {
			t.Errorf("got %v, %v", read, err)
		}
	})
}

func TestNATSHeadersMayBeWrittenInOtherWays(t *testing.T) {
	in := envelope(t, "user-service", &userv1.UserCreated{Id: 7, Uid: uid})
	header, data := published(in)
	for _, name := range []string{"ce-id", "content-type"} {
		header[strings.ToUpper(name)] = header[name]
		delete(header, name)
	}
	header["ce-subject"] = []string{`"users/\7"`}
	header["ce-source"] = []string{"user%2dservice"}
	header["ce-time"] = []string{"2026-02-03T05:05:06.789+01:00"}
	read, err := FromNats(header, data)
	if err != nil || read.ID() != in.GetId() || read.Subject() != "users/7" || read.Source() != "user-service" ||
		!read.Time().Equal(when) {
		t.Fatalf("got %v, %v", read, err)
	}
	out, err := ToEvent(read)
	if err != nil || !proto.Equal(out, in) {
		t.Errorf("got %v, %v, want %v", out, err, in)
	}
}

func TestWhatIsAbsentByNATSStaysAbsent(t *testing.T) {
	header := map[string][]string{"ce-specversion": {"1.0"}, "ce-id": {uid}, "ce-source": {"user-service"},
		"ce-type": {"user.v1.UserCreated"}, "ce-sequence": {"0000000000000000001"}, "ce-feedid": {feedID}}
	read, err := FromNats(header, nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := ToEvent(read)
	if err != nil {
		t.Fatal(err)
	}
	want := &eventv1.Event{Id: uid, Source: "user-service", Type: "user.v1.UserCreated", Sequence: 1}
	if !proto.Equal(out, want) {
		t.Errorf("got %v", out)
	}
}

func TestWhatIsNoEventOfAFeedIsAnErrorByNATS(t *testing.T) {
	type spoiled struct {
		spoil func(header map[string][]string)
		says  string
	}
	cases := map[string]spoiled{}
	for _, name := range []string{"specversion", "id", "source", "type", "sequence", "feedid"} {
		name := "ce-" + name
		cases["no "+name] = spoiled{func(header map[string][]string) { delete(header, name) }, name}
	}
	for _, sequence := range []string{"42", "-000000000000000042", "+000000000000000042", "0000000000000000000",
		"000000000000000004x", "00000000000000000042", "9223372036854775808"} {
		sequence := sequence
		cases["sequence "+sequence] = spoiled{
			func(header map[string][]string) { header["ce-sequence"] = []string{sequence} }, "sequence"}
	}
	for name, value := range map[string]string{"ce-specversion": "0.3", "ce-time": "yesterday", "ce-source": "%25zz",
		"ce-dataschema": "type.googleapis.com/user.v1.UserCreated", "ce-subject": "%C0%A0", "ce-id": "%zz",
		"ce-not-valid": "x", "ce-datacontenttype": "application/protobuf",
		"content-type": "application/cloudevents+json"} {
		name, value := name, value
		cases[name+" "+value] = spoiled{
			func(header map[string][]string) { header[name] = []string{value} }, strings.TrimPrefix(name, "ce-")}
	}
	cases["two ids"] = spoiled{func(header map[string][]string) { header["ce-id"] = []string{"a", "b"} }, "ce-id"}
	cases["two ids by case"] = spoiled{func(header map[string][]string) { header["CE-ID"] = []string{"b"} }, "ce-id"}
	cases["no type of data"] = spoiled{func(header map[string][]string) { delete(header, "content-type") }, "content-type"}
	for name, c := range cases {
		header, data := published(envelope(t, "user-service", &userv1.UserCreated{Id: 7, Uid: uid}))
		c.spoil(header)
		if read, err := FromNats(header, data); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, error %v", name, read, err)
		}
	}
	if read, err := FromNats(nil, nil); err == nil {
		t.Errorf("nothing: got %v", read)
	}
}

func TestDataThatIsNoPayloadIsAnErrorByNATS(t *testing.T) {
	for name, spoil := range map[string]func(header map[string][]string){
		"JSON":          func(header map[string][]string) { header["content-type"] = []string{"application/json"} },
		"no dataschema": func(header map[string][]string) { delete(header, "ce-dataschema") },
	} {
		header, data := published(envelope(t, "user-service", &userv1.UserCreated{Id: 7, Uid: uid}))
		spoil(header)
		read, err := FromNats(header, data)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := ToEvent(read); err == nil {
			t.Errorf("%s: got %v", name, out)
		}
	}
}

func TestATimeByNATSHasItsMicroseconds(t *testing.T) {
	in := envelope(t, "user-service", &userv1.UserCreated{Id: 7, Uid: uid})
	header, data := published(in)
	header["ce-time"] = []string{"2026-11-23T01:19:54.760251Z"}
	read, err := FromNats(header, data)
	if err != nil || read.Time().UTC().Format(time.RFC3339Nano) != "2026-11-23T01:19:54.760251Z" {
		t.Errorf("got %v, %v", read.Time(), err)
	}
}
