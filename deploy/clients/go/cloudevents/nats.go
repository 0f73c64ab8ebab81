package cloudevents

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	format "github.com/cloudevents/sdk-go/binding/format/protobuf/v2"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	eventv1 "crosskey/proto/event/v1"
)

// A sequence is padded to the width of the largest int64.
var padded = regexp.MustCompile(`^[0-9]{19}$`)

// FromNats gives the CloudEvent that a message has in the binary mode of the NATS protocol binding. The data is as it
// came, so a type that is not known here makes no difference. The extensions sequence and feedid have to be there,
// because they are the place in the feed. What is no valid CloudEvent is an error.
func FromNats(header map[string][]string, data []byte) (event.Event, error) {
	// The names of headers are case-insensitive.
	attributes := map[string]string{}
	contentType := ""
	for name, values := range header {
		name = strings.ToLower(name)
		attribute := strings.TrimPrefix(name, "ce-")
		if attribute == name && name != "content-type" {
			continue // a header of NATS, as Nats-Msg-Id
		}
		if _, twice := attributes[attribute]; twice || len(values) != 1 {
			return event.Event{}, fmt.Errorf("the header %s: MUST have one value", name)
		}
		value, err := unescape(values[0])
		if err != nil {
			return event.Event{}, fmt.Errorf("the header %s: %w", name, err)
		}
		if name == "content-type" {
			contentType = value
		} else {
			attributes[attribute] = value
		}
	}
	if strings.HasPrefix(strings.ToLower(contentType), "application/cloudevents") {
		return event.Event{}, fmt.Errorf("the header content-type: %s: not the binary mode", contentType)
	}
	for _, name := range []string{"specversion", "id", "source", "type", "sequence", "feedid"} {
		if attributes[name] == "" {
			return event.Event{}, fmt.Errorf("the header ce-%s: MUST be there", name)
		}
	}
	id := attributes["id"]
	if attributes["specversion"] != event.CloudEventsVersionV1 {
		return event.Event{}, fmt.Errorf("event %s: specversion: %q", id, attributes["specversion"])
	}
	sequence, err := strconv.ParseInt(attributes["sequence"], 10, 64)
	if err != nil || sequence <= 0 || !padded.MatchString(attributes["sequence"]) {
		return event.Event{}, fmt.Errorf("event %s: sequence: %q: MUST be 19 digits, and positive", id,
			attributes["sequence"])
	}
	out := event.New(event.CloudEventsVersionV1)
	for name, value := range attributes {
		switch name {
		case "specversion":
		case "id":
			out.SetID(value)
		case "source":
			out.SetSource(value)
		case "type":
			out.SetType(value)
		case "subject":
			out.SetSubject(value)
		case "time":
			when, err := types.ParseTime(value)
			if err != nil {
				return event.Event{}, fmt.Errorf("event %s: time: %w", id, err)
			}
			out.SetTime(when)
		case "dataschema":
			out.SetDataSchema(value)
		case "datacontenttype":
			return event.Event{}, fmt.Errorf("event %s: datacontenttype: it is the header content-type", id)
		default:
			out.SetExtension(name, value)
		}
	}
	if contentType != "" {
		if err := out.SetData(contentType, data); err != nil {
			return event.Event{}, fmt.Errorf("event %s: data: %w", id, err)
		}
	} else if len(data) > 0 {
		return event.Event{}, fmt.Errorf("event %s: data: without the header content-type", id)
	}
	if err := out.Validate(); err != nil {
		return event.Event{}, fmt.Errorf("event %s is no valid CloudEvent: %w", id, err)
	}
	return out, nil
}

// FeedID gives the history that the sequence of an event of FromNats belongs to.
func FeedID(in event.Event) string {
	id, _ := in.Extensions()["feedid"].(string)
	return id
}

// ToEvent gives the event of the feed that FromNats has read: FromEvent and ToProto then give what they give for the
// event that came by gRPC.
func ToEvent(in event.Event) (*eventv1.Event, error) {
	text, _ := in.Extensions()["sequence"].(string)
	sequence, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("event %s: sequence: %w", in.ID(), err)
	}
	traceparent, _ := in.Extensions()["traceparent"].(string)
	out := &eventv1.Event{Id: in.ID(), Source: in.Source(), Type: in.Type(), Subject: in.Subject(), Sequence: sequence,
		Traceparent: traceparent}
	if !in.Time().IsZero() {
		out.Time = timestamppb.New(in.Time())
	}
	if in.DataContentType() == "" {
		return out, nil // without a payload
	}
	if in.DataContentType() != format.ContentTypeProtobuf || in.DataSchema() == "" {
		return nil, fmt.Errorf("event %s: data: %s of %q: MUST be protobuf with a dataschema", in.ID(),
			in.DataContentType(), in.DataSchema())
	}
	// The dataschema is the type URL, made absolute.
	out.Payload = &anypb.Any{TypeUrl: strings.TrimPrefix(in.DataSchema(), "https://"), Value: in.Data()}
	return out, nil
}

// unescape reads the value of a header as the binding has it: quotes are taken away, then what follows a percent sign
// is a byte of UTF-8.
func unescape(value string) (string, error) {
	value = strings.TrimSpace(value)
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		var plain strings.Builder
		for i := 1; i < len(value)-1; i++ {
			if value[i] == '\\' && i+1 < len(value)-1 {
				i++
			}
			plain.WriteByte(value[i])
		}
		value = plain.String()
	}
	value, err := url.PathUnescape(value)
	if err != nil {
		return "", err
	}
	if !utf8.ValidString(value) {
		return "", errors.New("is no UTF-8")
	}
	return value, nil
}
