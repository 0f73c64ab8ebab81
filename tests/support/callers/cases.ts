// Makes the calls of a file of cases as the TypeScript example would, and compares the answers: cases.js CASES_JSON
//
// It is compiled in a copy of deploy/clients/node. How the file is written: README.md.
import { copyFileSync, readFileSync } from "node:fs";

import { Client, ServiceError, status } from "@grpc/grpc-js";

import { credentialsFromEnvironment } from "./credentials";
import { ErrorInfo } from "./gen/google/rpc/error_details";
import { Status } from "./gen/google/rpc/status";
import * as posts from "./gen/post/v1/post_service";
import * as users from "./gen/user/v1/user_service";

interface Case {
  name: string;
  target: string;
  method: string;
  request?: object;
  environment: Record<string, string>;
  tokens?: string[];
  answer: string;
}
interface Message {
  fromJSON(json: object): unknown;
  encode(message: unknown): { finish(): Uint8Array };
}

// The code, the reason unless it is the same word, and why.
function outcome(error: ServiceError): string {
  const code = status[error.code];
  const [packed] = error.metadata.get("grpc-status-details-bin");
  const details = Buffer.isBuffer(packed) ? Status.decode(packed).details : [];
  const any = details.find(({ typeUrl }) => typeUrl.endsWith("/google.rpc.ErrorInfo"));
  const { reason, metadata } = any ? ErrorInfo.decode(any.value) : { reason: "", metadata: {} as { why?: string } };
  return [code, reason !== code ? reason : "", metadata.why].filter(Boolean).join(" ");
}

// The request of the method's type; an empty one if the case has none.
function encoded({ method, request }: Case): Buffer {
  if (request === undefined) return Buffer.alloc(0);
  const messages = { ...users, ...posts } as unknown as Record<string, Message>;
  const type = messages[`${method.split("/")[1]}Request`];
  return Buffer.from(type.encode(type.fromJSON(request)).finish());
}

async function call(test: Case): Promise<string> {
  for (const name of ["CA", "CERT", "KEY", "TOKEN_FILE"]) delete process.env[`CROSSKEY_${name}`];
  Object.assign(process.env, test.environment);
  const client = new Client(test.target, credentialsFromEnvironment());
  const same = (bytes: Buffer) => bytes;
  const answers: string[] = [];
  for (const token of test.tokens ?? [undefined]) {
    if (token) copyFileSync(token, test.environment.CROSSKEY_TOKEN_FILE);
    const answer = await new Promise<string>((resolve) => {
      const options = { deadline: Date.now() + 20_000 };
      client.makeUnaryRequest(`/${test.method}`, same, same, encoded(test), options, (error) =>
        resolve(error ? outcome(error) : "OK"),
      );
    });
    answers.push(answer);
  }
  client.close();
  return answers.join(", then ");
}

async function main(path: string): Promise<void> {
  const cases: Case[] = JSON.parse(readFileSync(path, "utf8"));
  let wrong = 0;
  // Node ends where nothing is left that it could wait for, also in the middle of a call.
  process.exitCode = 1;
  for (const test of cases) {
    const answer = await call(test);
    if (answer === test.answer) continue;
    ++wrong;
    console.log(`WRONG  ${test.name}: ${answer}, not ${test.answer}`);
  }
  console.log(`${cases.length} cases, ${wrong} wrong`);
  if (wrong === 0 && cases.length > 0) process.exitCode = 0;
}

void main(process.argv[2]);
