// Package cloudevents turns the events of Crosskey's feeds into CloudEvents 1.0, in the JSON format and in the protobuf
// format.
package cloudevents

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	format "github.com/cloudevents/sdk-go/binding/format/protobuf/v2"
	"github.com/cloudevents/sdk-go/binding/format/protobuf/v2/pb"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/extensions"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"

	eventv1 "crosskey/proto/event/v1"
	_ "crosskey/proto/post/v1" // the payloads of post-service
	_ "crosskey/proto/user/v1" // the payloads of user-service
)

// FromEvent gives the CloudEvent for the JSON format: its data is the payload in JSON. A newer service may send a
// payload of a type that is not known here. It is passed on in binary, which the JSON format shows as data_base64. An
// event that makes no valid CloudEvent is an error.
func FromEvent(in *eventv1.Event) (event.Event, error) {
	out, err := context(in)
	if err != nil {
		return event.Event{}, err
	}
	payload := in.GetPayload()
	if payload == nil {
		return out, nil
	}
	message, err := payload.UnmarshalNew()
	if errors.Is(err, protoregistry.NotFound) {
		return out, setBinary(&out, payload)
	}
	if err != nil {
		return event.Event{}, fmt.Errorf("event %s: payload: %w", in.GetId(), err)
	}
	// With zeros and empty lists, so that a consumer finds every field of the type.
	data, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(message)
	if err != nil {
		return event.Event{}, fmt.Errorf("event %s: payload: %w", in.GetId(), err)
	}
	// protojson varies its white space on purpose.
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		return event.Event{}, fmt.Errorf("event %s: payload: %w", in.GetId(), err)
	}
	return out, out.SetData(event.ApplicationJSON, json.RawMessage(compact.Bytes()))
}

// ToProto gives the CloudEvent in the protobuf format: its proto_data is the payload as it came, known here or not.
func ToProto(in *eventv1.Event) (*pb.CloudEvent, error) {
	out, err := context(in)
	if err != nil {
		return nil, err
	}
	payload := in.GetPayload()
	if payload != nil {
		if err := setBinary(&out, payload); err != nil {
			return nil, err
		}
	}
	converted, err := format.ToProto(&out)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", in.GetId(), err)
	}
	converted.Data = nil
	if payload != nil {
		// The SDK would put the dataschema in the place of the type URL.
		converted.Data = &pb.CloudEvent_ProtoData{ProtoData: payload}
	}
	return converted, nil
}

// context gives a valid CloudEvent with everything but the data.
func context(in *eventv1.Event) (event.Event, error) {
	out := event.New(event.CloudEventsVersionV1)
	out.SetID(in.GetId())
	// A URI-reference: the name of the service is one, a relative path.
	out.SetSource(in.GetSource())
	out.SetType(in.GetType())
	if in.GetSubject() != "" {
		out.SetSubject(in.GetSubject())
	}
	if in.GetTime() != nil {
		if err := in.GetTime().CheckValid(); err != nil {
			return event.Event{}, fmt.Errorf("event %s: time: %w", in.GetId(), err)
		}
		out.SetTime(in.GetTime().AsTime())
	}
	if in.GetSequence() <= 0 {
		return event.Event{}, fmt.Errorf("event %s: sequence: MUST be positive", in.GetId())
	}
	// The extension "sequence" wants strings whose order as strings is that of the events: as wide as the largest int64.
	out.SetExtension("sequence", fmt.Sprintf("%019d", in.GetSequence()))
	extensions.DistributedTracingExtension{TraceParent: in.GetTraceparent()}.AddTracingAttributes(&out)
	if err := out.Validate(); err != nil {
		return event.Event{}, fmt.Errorf("event %q is no valid CloudEvent: %w", in.GetId(), err)
	}
	return out, nil
}

// setBinary makes the payload the data, as it came.
func setBinary(out *event.Event, payload *anypb.Any) error {
	// The protobuf format wants the type URL as dataschema. But dataschema has to be an absolute URI, so a type URL
	// without a scheme gets https, which it means.
	schema := payload.GetTypeUrl()
	if !strings.Contains(schema, "://") {
		schema = "https://" + schema
	}
	out.SetDataSchema(schema)
	if err := out.SetData(format.ContentTypeProtobuf, payload.GetValue()); err != nil {
		return fmt.Errorf("event %s: payload: %w", out.ID(), err)
	}
	if err := out.Validate(); err != nil {
		return fmt.Errorf("event %s is no valid CloudEvent: %w", out.ID(), err)
	}
	return nil
}
