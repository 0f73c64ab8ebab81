package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"
)

const user, post = "spiffe://crosskey/user-service", "spiffe://crosskey/post-service"

type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool
}

// issue gives a certificate of the authority, or one that signs itself.
func (a *authority) issue(t *testing.T, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := template, key
	if a != nil {
		parent, signer = a.certificate, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	certificate, key := (*authority)(nil).issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "internal"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return &authority{certificate, key, pool}
}

// serving gives the certificate of a service with these URIs.
func (a *authority) serving(t *testing.T, uris ...string) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, text := range uris {
		uri, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, uri)
	}
	certificate, _ := a.issue(t, template)
	return certificate
}

func TestAServiceIsKnownByItsOnlyURI(t *testing.T) {
	internal, other := newAuthority(t), newAuthority(t)
	for _, test := range []struct {
		name        string
		certificate *x509.Certificate
		want        string
	}{
		{"the one", internal.serving(t, user), ""},
		{"the other one", internal.serving(t, post), ""},
		{"a stranger", internal.serving(t, "spiffe://crosskey/events"), "not of"},
		{"nobody", internal.serving(t), "not of"},
		{"both at once", internal.serving(t, user, post), "not of"},
		{"one of another authority", other.serving(t, user), "unknown authority"},
	} {
		err := verify([]*x509.Certificate{test.certificate}, internal.pool, []string{user, post})
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}
