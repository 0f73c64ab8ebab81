package cloudevents

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	format "github.com/cloudevents/sdk-go/binding/format/protobuf/v2"
	"github.com/cloudevents/sdk-go/binding/format/protobuf/v2/pb"
	"github.com/cloudevents/sdk-go/v2/event"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	eventv1 "crosskey/proto/event/v1"
	postv1 "crosskey/proto/post/v1"
	userv1 "crosskey/proto/user/v1"
)

const (
	uid         = "327efd84-dab7-4f9b-bcec-ed862072d131"
	traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
)

var (
	when = time.Date(2026, 2, 3, 4, 5, 6, 789000000, time.UTC)
	// Larger than what a float64, as JSON readers have it, can hold.
	large int64 = 1<<62 + 1

	payloads = map[string][]proto.Message{
		"user-service": {
			&userv1.UserCreated{Id: large, Uid: uid},
			&userv1.UserUpdated{Id: 7, Uid: uid, Paths: []string{"username", "pinned_post_id"}},
			&userv1.UserDeleted{Id: 7, Uid: uid, DeletionId: 3},
		},
		"post-service": {
			&postv1.PostCreated{Id: 9, Uid: uid, UserId: large},
			&postv1.PostUpdated{Id: 9, Uid: uid, Paths: []string{"title"}},
			&postv1.PostsDeleted{Posts: []*postv1.DeletedPost{{Id: 9, Uid: uid}, {Id: 10, Uid: uid}}},
			&postv1.UserPostsReclaimed{DeletionId: 3, UserId: 7, Uid: uid, Posts: 0, Likes: 4},
		},
	}
)

func envelope(t *testing.T, source string, payload proto.Message) *eventv1.Event {
	t.Helper()
	packed, err := anypb.New(payload)
	if err != nil {
		t.Fatal(err)
	}
	return &eventv1.Event{
		Id: "e7074dd9-8ce7-4c55-8a6f-289fb11656e8", Source: source,
		Type: string(payload.ProtoReflect().Descriptor().FullName()), Subject: "users/7", Time: timestamppb.New(when),
		Sequence: 42, Traceparent: traceparent, Payload: packed,
	}
}

// unknown is an event whose payload is of a type that this program does not have.
func unknown(t *testing.T) *eventv1.Event {
	in := envelope(t, "user-service", &userv1.UserCreated{Id: 7, Uid: uid})
	in.Type = "user.v2.UserRenamed"
	in.Payload.TypeUrl = "type.googleapis.com/user.v2.UserRenamed"
	return in
}

func forEachPayload(t *testing.T, check func(t *testing.T, in *eventv1.Event, payload proto.Message)) {
	for source, messages := range payloads {
		for _, payload := range messages {
			in := envelope(t, source, payload)
			t.Run(in.Type, func(t *testing.T) { check(t, in, payload) })
		}
	}
}

// checkAttributes compares everything but the data.
func checkAttributes(t *testing.T, got event.Event, in *eventv1.Event) {
	t.Helper()
	if err := got.Validate(); err != nil {
		t.Errorf("invalid: %v", err)
	}
	for _, attribute := range []struct{ name, got, want string }{
		{"specversion", got.SpecVersion(), "1.0"},
		{"id", got.ID(), in.GetId()},
		{"source", got.Source(), in.GetSource()},
		{"type", got.Type(), in.GetType()},
		{"subject", got.Subject(), in.GetSubject()},
		{"time", got.Time().UTC().Format(time.RFC3339Nano), "2026-02-03T04:05:06.789Z"},
	} {
		if attribute.got != attribute.want {
			t.Errorf("%s: got %q, want %q", attribute.name, attribute.got, attribute.want)
		}
	}
	extensions := got.Extensions()
	if extensions["sequence"] != "0000000000000000042" || extensions["traceparent"] != traceparent ||
		len(extensions) != 2 {
		t.Errorf("extensions: %v", extensions)
	}
}

func toJSON(t *testing.T, in *eventv1.Event) []byte {
	t.Helper()
	converted, err := FromEvent(in)
	if err != nil {
		t.Fatal(err)
	}
	checkAttributes(t, converted, in)
	text, err := json.Marshal(converted)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestEveryPayloadOfTheFeedsIsTestedHere(t *testing.T) {
	tested := map[protoreflect.FullName]bool{"post.v1.DeletedPost": true} // a part of a payload
	for _, messages := range payloads {
		for _, payload := range messages {
			tested[payload.ProtoReflect().Descriptor().FullName()] = true
		}
	}
	files := 0
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if strings.HasSuffix(file.Path(), "_events.proto") {
			files++
			for i := 0; i < file.Messages().Len(); i++ {
				if name := file.Messages().Get(i).FullName(); !tested[name] {
					t.Errorf("%s is not tested", name)
				}
			}
		}
		return true
	})
	if files != len(payloads) {
		t.Errorf("%d files of events for %d services", files, len(payloads))
	}
}

func TestJSONFormat(t *testing.T) {
	names := regexp.MustCompile(`^([a-z0-9]{1,20}|data_base64)$`)
	forEachPayload(t, func(t *testing.T, in *eventv1.Event, payload proto.Message) {
		text := toJSON(t, in)

		// As the SDK reads it.
		var got event.Event
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		checkAttributes(t, got, in)

		// As the format's specification has it.
		var members map[string]json.RawMessage
		if err := json.Unmarshal(text, &members); err != nil {
			t.Fatal(err)
		}
		for name, value := range members {
			if !names.MatchString(name) {
				t.Errorf("member %q", name)
			}
			if name != "data" && value[0] != '"' {
				t.Errorf("%s is no string: %s", name, value)
			}
		}
		if string(members["datacontenttype"]) != `"application/json"` || members["data_base64"] != nil {
			t.Errorf("not JSON data: %s", text)
		}
		read := payload.ProtoReflect().New().Interface()
		if err := protojson.Unmarshal(members["data"], read); err != nil || !proto.Equal(read, payload) {
			t.Errorf("data: %s, %v", members["data"], err)
		}
		if strings.ContainsAny(string(text), "\n\r") {
			t.Errorf("more than a line: %s", text)
		}
	})
}

func TestJSONDataHasFieldsThatAreZero(t *testing.T) {
	var got struct{ Data map[string]any }
	if err := json.Unmarshal(toJSON(t, envelope(t, "post-service", payloads["post-service"][3])), &got); err != nil {
		t.Fatal(err)
	}
	if got.Data["posts"] != "0" || got.Data["likes"] != "4" {
		t.Errorf("data: %v", got.Data)
	}
}

func TestProtobufFormat(t *testing.T) {
	forEachPayload(t, func(t *testing.T, in *eventv1.Event, payload proto.Message) {
		converted, err := ToProto(in)
		if err != nil {
			t.Fatal(err)
		}
		wire, err := proto.Marshal(converted)
		if err != nil {
			t.Fatal(err)
		}

		// As the SDK reads it.
		var got event.Event
		if err := format.Protobuf.Unmarshal(wire, &got); err != nil {
			t.Fatal(err)
		}
		checkAttributes(t, got, in)
		if got.DataContentType() != "application/protobuf" || got.DataSchema() != "https://"+in.GetPayload().GetTypeUrl() {
			t.Errorf("data is %s of %s", got.DataContentType(), got.DataSchema())
		}
		read := payload.ProtoReflect().New().Interface()
		if err := got.DataAs(read); err != nil || !proto.Equal(read, payload) {
			t.Errorf("data: %v, %v", read, err)
		}

		// As the format's specification has it.
		message := &pb.CloudEvent{}
		if err := proto.Unmarshal(wire, message); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(message.GetProtoData(), in.GetPayload()) {
			t.Errorf("proto_data: %v", message.GetProtoData())
		}
		attributes := message.GetAttributes()
		if !attributes["time"].GetCeTimestamp().AsTime().Equal(when) ||
			attributes["sequence"].GetCeString() != "0000000000000000042" ||
			!strings.HasPrefix(attributes["dataschema"].GetCeUri(), "https://") || message.GetSpecVersion() != "1.0" {
			t.Errorf("attributes: %v", message)
		}
	})
}

func TestAnUnknownPayloadIsPassedOn(t *testing.T) {
	in := unknown(t)
	var got event.Event
	text := toJSON(t, in)
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	checkAttributes(t, got, in)
	if !strings.Contains(string(text), `"data_base64":"`) || string(got.Data()) != string(in.GetPayload().GetValue()) ||
		got.DataContentType() != "application/protobuf" ||
		got.DataSchema() != "https://type.googleapis.com/user.v2.UserRenamed" {
		t.Errorf("JSON: %s", text)
	}
	message, err := ToProto(in)
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(message.GetProtoData(), in.GetPayload()) {
		t.Errorf("proto_data: %v", message.GetProtoData())
	}
}

func TestWhatIsAbsentStaysAbsent(t *testing.T) {
	in := &eventv1.Event{Id: uid, Source: "user-service", Type: "user.v1.UserCreated", Sequence: 1}
	converted, err := FromEvent(in)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(converted)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	if len(members) != 5 { // specversion, id, source, type, sequence
		t.Errorf("JSON: %s", text)
	}
	message, err := ToProto(in)
	if err != nil {
		t.Fatal(err)
	}
	if message.GetData() != nil || len(message.GetAttributes()) != 1 {
		t.Errorf("protobuf: %v", message)
	}
}

func TestTheNamesOfTheServicesAreURIReferences(t *testing.T) {
	for source := range payloads {
		reference, err := url.Parse(source)
		if err != nil || reference.IsAbs() || reference.Path != source || reference.String() != source {
			t.Errorf("%q: %v, %v", source, reference, err)
		}
	}
}

func TestSequencesAreOrderedAsStrings(t *testing.T) {
	last := ""
	for _, sequence := range []int64{1, 9, 10, 99, 100, 1<<31 - 1, 1 << 31, 1<<63 - 1} {
		in := envelope(t, "user-service", &userv1.UserCreated{})
		in.Sequence = sequence
		converted, err := FromEvent(in)
		if err != nil {
			t.Fatal(err)
		}
		now, _ := converted.Extensions()["sequence"].(string)
		if now <= last {
			t.Errorf("%q comes after %q", now, last)
		}
		last = now
	}
}

func TestWhatIsNoCloudEventIsAnError(t *testing.T) {
	for name, spoil := range map[string]func(in *eventv1.Event){
		"no id":                   func(in *eventv1.Event) { in.Id = "" },
		"no source":               func(in *eventv1.Event) { in.Source = "" },
		"no URI-reference":        func(in *eventv1.Event) { in.Source = "%zz" },
		"no type":                 func(in *eventv1.Event) { in.Type = "" },
		"no sequence":             func(in *eventv1.Event) { in.Sequence = 0 },
		"no time of the calendar": func(in *eventv1.Event) { in.Time.Nanos = -1 },
	} {
		in := envelope(t, "user-service", &userv1.UserCreated{Id: 7, Uid: uid})
		spoil(in)
		if converted, err := FromEvent(in); err == nil {
			t.Errorf("%s: JSON: %v", name, converted)
		}
		if converted, err := ToProto(in); err == nil {
			t.Errorf("%s: protobuf: %v", name, converted)
		}
	}
}

func TestAPayloadThatCannotBeDecodedIsAnError(t *testing.T) {
	in := envelope(t, "user-service", &userv1.UserCreated{})
	in.Payload.Value = []byte{0xff}
	if converted, err := FromEvent(in); err == nil {
		t.Errorf("JSON: %v", converted)
	}
}

func TestATypeURLThatIsNoURLIsAnError(t *testing.T) {
	in := unknown(t)
	in.Payload.TypeUrl = "a b%zz/user.v2.UserRenamed"
	if converted, err := FromEvent(in); err == nil {
		t.Errorf("JSON: %v", converted)
	}
	if converted, err := ToProto(in); err == nil {
		t.Errorf("protobuf: %v", converted)
	}
}

func TestATypeURLMayHaveAScheme(t *testing.T) {
	in := unknown(t)
	in.Payload.TypeUrl = "http://example.com/user.v2.UserRenamed"
	converted, err := FromEvent(in)
	if err != nil || converted.DataSchema() != in.Payload.TypeUrl {
		t.Errorf("%v, %v", converted, err)
	}
}
