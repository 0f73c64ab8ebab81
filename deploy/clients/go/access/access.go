// Package access makes what a channel trusts, and what it shows of its caller, from variables of the environment:
//
//	CROSSKEY_CA                  the authorities that vouch for the services; without it there is no TLS
//	CROSSKEY_CERT, CROSSKEY_KEY  a certificate to show, and its key
//	CROSSKEY_TOKEN_FILE          a token to send with each call; it is read for each, because tokens are replaced
//
// All name files, which have PEM but for the token.
package access

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// DialOptions gives the options of a channel that has these credentials. With an identity, which is a URI or several
// with commas between, the certificate of the service has to have one of them as its only URI, and no host name is
// looked at. This is for the internal listeners, and empty for everything else.
func DialOptions(identity string) ([]grpc.DialOption, error) {
	ca, token := os.Getenv("CROSSKEY_CA"), os.Getenv("CROSSKEY_TOKEN_FILE")
	certificate, key := os.Getenv("CROSSKEY_CERT"), os.Getenv("CROSSKEY_KEY")
	if (certificate == "") != (key == "") {
		return nil, errors.New("CROSSKEY_CERT and CROSSKEY_KEY belong together, and only one is there")
	}
	if ca == "" {
		if certificate+token+identity != "" {
			return nil, errors.New("a certificate, a token or an identity needs CROSSKEY_CA too")
		}
		return []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate", ca)
	}
	if certificate != "" {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if identity != "" {
		// Go compares host names only. So this looks at the whole certificate instead.
		config.InsecureSkipVerify = true
		config.VerifyConnection = func(state tls.ConnectionState) error {
			return verify(state.PeerCertificates, config.RootCAs, strings.Split(identity, ","))
		}
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(config))}
	if token != "" {
		options = append(options, grpc.WithPerRPCCredentials(tokenFile(token)))
	}
	return options, nil
}

// verify is nil if the certificates lead to one of the roots, and the first one has exactly one URI, one of these. The
// services look at each other in the same way.
func verify(certificates []*x509.Certificate, roots *x509.CertPool, identities []string) error {
	intermediates := x509.NewCertPool()
	for _, certificate := range certificates[1:] {
		intermediates.AddCert(certificate)
	}
	leaf := certificates[0]
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates}); err != nil {
		return err
	}
	for _, identity := range identities {
		if len(leaf.URIs) == 1 && leaf.URIs[0].String() == identity {
			return nil
		}
	}
	return fmt.Errorf("the certificate is of %v, not of %v", leaf.URIs, identities)
}

// tokenFile is the path of a token. gRPC asks it before each call.
type tokenFile string

func (path tokenFile) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token, err := os.ReadFile(string(path))
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + strings.TrimSpace(string(token))}, nil
}

// RequireTransportSecurity keeps the token off connections without TLS.
func (tokenFile) RequireTransportSecurity() bool { return true }
