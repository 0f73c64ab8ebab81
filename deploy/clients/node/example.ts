// A client of both services, to be read from `main` on: npm start -- USER_TARGET POST_TARGET
//
// How to run it: deploy/clients/README.md.
import { randomBytes, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { Client, ClientUnaryCall, Metadata, ServiceError, status } from "@grpc/grpc-js";

import { credentialsFromEnvironment } from "./credentials";
import { ErrorInfo, PreconditionFailure, RetryInfo } from "./gen/google/rpc/error_details";
import { Status } from "./gen/google/rpc/status";
import { Post } from "./gen/post/v1/post";
import { BatchCreatePostsRequest, CreatePostRequest, ListPostsRequest } from "./gen/post/v1/post_service";
import { PostServiceClient } from "./gen/post/v1/post_service";
import { DeletionState, UserDeletion } from "./gen/user/v1/user";
import { CreateUserRequest, DeleteUserRequest, GetUserDeletionRequest } from "./gen/user/v1/user_service";
import { UserServiceClient } from "./gen/user/v1/user_service";

// The file lies beside the folder of this example, and this runs as build/example.js.
const serviceConfig = readFileSync(join(__dirname, "..", "..", "service_config.json"), "utf8");
// After this many milliseconds a write is not sent again, and a deletion not waited for.
const patience = 30_000;

type Callback<Response> = (error: ServiceError | null, response: Response) => void;
type Method<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: object,
  callback: Callback<Response>,
) => ClientUnaryCall;
type Call<Request, Response> = (request: Request) => Promise<Response>;

// A method of a client as a function that can be awaited.
function unary<Request, Response>(client: Client, method: Method<Request, Response>): Call<Request, Response> {
  return (request) =>
    new Promise((resolve, reject) => {
      method.call(client, request, new Metadata(), {}, (error, response) =>
        error ? reject(error) : resolve(response),
      );
    });
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "metadata" in error;
}

// The detail of a type in an error, if it is there: errors that gRPC itself makes carry none.
function detail<T>(error: ServiceError, type: { $type: string; decode(bytes: Uint8Array): T }): T | undefined {
  const [packed] = error.metadata.get("grpc-status-details-bin");
  if (!Buffer.isBuffer(packed)) return undefined;
  const any = Status.decode(packed).details.find(({ typeUrl }) => typeUrl.endsWith(`/${type.$type}`));
  return any && type.decode(any.value);
}

// Makes a write that is safe to repeat, and repeats it while it is not known whether it has happened.
//
// The service config repeats calls too, but it gives up within seconds, and it does not know for how long the service
// asks to wait. Either way the request_id stays the same, so that the write has one effect and one answer.
async function write<Request extends { requestId: string }, Response>(call: Call<Request, Response>, request: Request) {
  expect(request.requestId !== "", "a write has a request_id");
  const giveUp = Date.now() + patience;
  for (let pause = 100; ; pause = Math.min(2 * pause, 2_000)) {
    try {
      return await call(request);
    } catch (error) {
      // Everything else is an answer: the same request would get it again.
      if (!isServiceError(error) || ![status.UNAVAILABLE, status.DEADLINE_EXCEEDED].includes(error.code)) throw error;
      // The service may say how long to wait.
      const asked = detail(error, RetryInfo)?.retryDelay;
      const delay = Math.max(pause, asked ? Number(asked.seconds) * 1_000 + asked.nanos / 1e6 : 0);
      if (Date.now() + delay > giveUp) throw error;
      await sleep(delay);
    }
  }
}

// Gives the pages one after the other. Only an empty token is the end: a page before the last may be short, even empty.
async function* pagesOfPosts(posts: PostServiceClient, userId: bigint, pageSize: number): AsyncGenerator<Post[]> {
  const listPosts = unary(posts, posts.listPosts);
  let pageToken = "";
  do {
    const response = await listPosts(ListPostsRequest.fromPartial({ userId, pageSize, pageToken }));
    yield response.posts;
    pageToken = response.nextPageToken;
  } while (pageToken !== "");
}

// An error in words of our own. Programs go by code, reason and metadata; the message may change at any time.
function refusal(error: unknown): string {
  const info = isServiceError(error) ? detail(error, ErrorInfo) : undefined;
  if (!isServiceError(error) || info?.domain !== "crosskey") throw error;
  const violations = detail(error, PreconditionFailure)?.violations ?? [];
  const causes = violations.map(({ type, subject, description }) => `${type} ${subject}: ${description}`).join("; ");
  const { relationship, resource } = info.metadata;
  return `${status[error.code]} ${info.reason}: ${relationship} refers to ${resource} (${causes})`;
}

// Returns the record of a deletion when the deletion has ended. The record outlives the user by 30 days.
async function follow(users: UserServiceClient, userId: bigint): Promise<UserDeletion> {
  const getUserDeletion = unary(users, users.getUserDeletion);
  for (const giveUp = Date.now() + patience; ; await sleep(100)) {
    const { deletion } = await getUserDeletion(GetUserDeletionRequest.fromPartial({ userId }));
    if (deletion?.state === DeletionState.DELETION_STATE_COMPLETED) return deletion;
    expect(Date.now() < giveUp, `the deletion completes, it is ${stateOf(deletion)} ${deletion?.blockedReason ?? ""}`);
  }
}

const stateOf = (deletion?: UserDeletion) => (deletion ? DeletionState[deletion.state] : "absent");

function expect(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`not as expected: ${what}`);
}

async function main(users: UserServiceClient, posts: PostServiceClient): Promise<void> {
  const username = `ada-${randomBytes(4).toString("hex")}`;
  // One request_id for each write that is meant, not for each time that it is sent.
  const userRequest = CreateUserRequest.fromPartial({ username, requestId: randomUUID() });
  const { user } = await write(unary(users, users.createUser), userRequest);
  expect(user !== undefined, "the answer has the user");
  console.log(`created users/${user.id} "${user.username}"`);

  // All of them or none.
  const requests = [1, 2, 3, 4, 5].map((number) => ({ userId: user.id, title: `Note ${number}` }));
  const batch = BatchCreatePostsRequest.fromPartial({ requests, requestId: randomUUID() });
  const { posts: created } = await write(unary(posts, posts.batchCreatePosts), batch);
  console.log(`created ${created.length} posts in one call`);

  const listed: bigint[] = [];
  let number = 0;
  for await (const page of pagesOfPosts(posts, user.id, 2)) {
    console.log(`page ${++number}: ${page.length} posts`);
    listed.push(...page.map(({ id }) => id));
  }
  expect(listed.join() === created.map(({ id }) => id).join(), "the pages have all posts, once and by id");

  const createPost = unary(posts, posts.createPost);
  const dangling = { userId: 999999999n, title: "By nobody", requestId: randomUUID() };
  const outcome = await write(createPost, CreatePostRequest.fromPartial(dangling)).then(() => undefined, refusal);
  expect(outcome !== undefined, "a post of an unknown user is refused");
  console.log(`refused: ${outcome}`);

  // A client that has lost the answer does this, perhaps after a restart: it has kept the request and its id.
  const request = CreatePostRequest.fromPartial({ userId: user.id, title: "Just once", requestId: randomUUID() });
  const { post: first } = await write(createPost, request);
  const { post: again } = await write(createPost, request);
  console.log(`created posts/${first?.id}, and again under the same request_id: posts/${again?.id}`);
  expect(first !== undefined && first.uid === again?.uid, "both answers are the same post");

  // Show what a deletion would take along before it is asked for.
  const deleteUser = unary(users, users.deleteUser);
  const { deletion: preview } = await deleteUser(DeleteUserRequest.fromPartial({ id: user.id, validateOnly: true }));
  console.log(`preview: deleting users/${user.id} would delete ${preview?.posts} posts`);

  // From this answer on nobody sees the user. The rows are removed afterwards.
  const deletion = DeleteUserRequest.fromPartial({ id: user.id, requestId: randomUUID() });
  console.log(`deleted: ${stateOf((await write(deleteUser, deletion)).deletion)}`);
  const end = await follow(users, user.id);
  console.log(`followed: ${stateOf(end)}, ${end.posts} posts removed`);
  expect(end.posts === preview?.posts, "as many posts are gone as the preview said");
}

const [userTarget, postTarget, ...rest] = process.argv.slice(2);
if (!userTarget || !postTarget || rest.length > 0) {
  console.error("usage: npm start -- USER_TARGET POST_TARGET");
  process.exit(2);
}
// The retries, deadlines and load balancing that the services recommend; see deploy/clients/README.md.
const options = { "grpc.service_config": serviceConfig };
const users = new UserServiceClient(userTarget, credentialsFromEnvironment(), options);
const posts = new PostServiceClient(postTarget, credentialsFromEnvironment(), options);
main(users, posts)
  .catch((error: unknown) => {
    console.error(isServiceError(error) ? `failed: ${error.message}` : error);
    process.exitCode = 1;
  })
  .finally(() => [users, posts].forEach((client) => client.close()));
