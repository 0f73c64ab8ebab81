// Whom a channel trusts, and what it shows of its caller. The four variables name files; see deploy/clients/README.md.
import { readFileSync } from "node:fs";

import { ChannelCredentials, Metadata, credentials } from "@grpc/grpc-js";

const read = (path?: string) => (path ? readFileSync(path) : null);

export function credentialsFromEnvironment(): ChannelCredentials {
  const { CROSSKEY_CA: ca, CROSSKEY_CERT: certificate, CROSSKEY_KEY: key, CROSSKEY_TOKEN_FILE: token } = process.env;
  if (!certificate !== !key) throw new Error("CROSSKEY_CERT and CROSSKEY_KEY belong together, and only one is there");
  if (!ca) {
    if (certificate || token) throw new Error("a certificate or a token needs CROSSKEY_CA too");
    return credentials.createInsecure();
  }
  const tls = credentials.createSsl(read(ca), read(key), read(certificate));
  if (!token) return tls;
  // It is read for each call, because tokens are replaced.
  const addToken = credentials.createFromMetadataGenerator((_, callback) => {
    const metadata = new Metadata();
    metadata.set("authorization", `Bearer ${readFileSync(token, "utf8").trim()}`);
    callback(null, metadata);
  });
  return credentials.combineChannelCredentials(tls, addToken);
}
