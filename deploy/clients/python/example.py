"""A client of both services, to be read from `main` on: example.py USER_TARGET POST_TARGET

How to run it: deploy/clients/README.md.
"""

import os
import pathlib
import secrets
import sys
import time
import uuid

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from post.v1 import post_service_pb2 as post_service
from post.v1.post_service_pb2_grpc import PostServiceStub
from user.v1 import user_pb2, user_service_pb2 as user_service
from user.v1.user_service_pb2_grpc import UserServiceStub

SERVICE_CONFIG = pathlib.Path(__file__).parent.parent / "service_config.json"
# After this a write is not sent again, and a deletion not waited for.
PATIENCE_SECONDS = 30


def connect(target):
    """A channel to one of the services, with TLS and a token if the environment says so."""
    # The retries, deadlines and load balancing that the services recommend; see deploy/clients/README.md.
    options = [("grpc.service_config", SERVICE_CONFIG.read_text())]
    credentials = credentials_from_environment()
    if credentials is None:
        return grpc.insecure_channel(target, options)
    return grpc.secure_channel(target, credentials, options)


def credentials_from_environment():
    """All four variables name files; see deploy/clients/README.md. None: there is no TLS."""
    ca, certificate, key, token = (
        os.environ.get(f"CROSSKEY_{name}") for name in ("CA", "CERT", "KEY", "TOKEN_FILE"))
    # gRPC would end the process.
    expect(bool(certificate) == bool(key), "CROSSKEY_CERT and CROSSKEY_KEY belong together, and only one is there")
    if not ca:
        expect(not (certificate or token), "a certificate or a token needs CROSSKEY_CA too")
        return None

    def read(path):
        return pathlib.Path(path).read_bytes() if path else None

    def add_token(_, callback):
        # It is read for each call, because tokens are replaced.
        callback([("authorization", f"Bearer {read(token).decode().strip()}")], None)

    tls = grpc.ssl_channel_credentials(read(ca), read(key), read(certificate))
    return grpc.composite_channel_credentials(tls, grpc.metadata_call_credentials(add_token)) if token else tls


def detail(error, kind):
    """The detail of a type in an error, or an empty one: errors that gRPC itself makes carry none."""
    found = kind()
    status = rpc_status.from_call(error)
    for packed in status.details if status else ():
        if packed.Unpack(found):
            break
    return found


def write(method, request):
    """Makes a write that is safe to repeat, and repeats it while it is not known whether it has happened.

    The service config repeats calls too, but it gives up within seconds, and it does not know for how long the service
    asks to wait. Either way the request_id stays the same, so that the write has one effect and one answer.
    """
    expect(request.request_id, "a write has a request_id")
    give_up = time.monotonic() + PATIENCE_SECONDS
    pause = 0.1
    while True:
        try:
            return method(request)
        except grpc.RpcError as error:
            # Everything else is an answer: the same request would get it again.
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise
            # The service may say how long to wait.
            asked = detail(error, error_details_pb2.RetryInfo).retry_delay.ToTimedelta().total_seconds()
            delay = max(pause, asked)
            if time.monotonic() + delay > give_up:
                raise
        time.sleep(delay)
        pause = min(2 * pause, 2)


def new_id():
    """One for each write that is meant, not for each time that it is sent."""
    return str(uuid.uuid4())


def pages_of_posts(posts, user_id, page_size):
    """Gives the pages one after the other.

    Only an empty token is the end: a page before the last may be short, even empty.
    """
    request = post_service.ListPostsRequest(user_id=user_id, page_size=page_size)
    while True:
        response = posts.ListPosts(request)
        yield response.posts
        if not response.next_page_token:
            return
        request.page_token = response.next_page_token


def refusal(error):
    """An error in words of our own. Programs go by code, reason and metadata; the message may change at any time."""
    info = detail(error, error_details_pb2.ErrorInfo)
    if info.domain != "crosskey":
        raise error
    violations = "; ".join(
        f"{violation.type} {violation.subject}: {violation.description}"
        for violation in detail(error, error_details_pb2.PreconditionFailure).violations
    )
    where = f"{info.metadata['relationship']} refers to {info.metadata['resource']}"
    return f"{error.code().name} {info.reason}: {where} ({violations})"


def follow(users, user_id):
    """Returns the record of a deletion when the deletion has ended. The record outlives the user by 30 days."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        deletion = users.GetUserDeletion(user_service.GetUserDeletionRequest(user_id=user_id)).deletion
        if deletion.state == user_pb2.DELETION_STATE_COMPLETED:
            return deletion
        if time.monotonic() > give_up:
            sys.exit(f"not as expected: the deletion is still {state_of(deletion)} {deletion.blocked_reason}")
        time.sleep(0.1)


def state_of(deletion):
    return user_pb2.DeletionState.Name(deletion.state)


def expect(condition, what):
    if not condition:
        sys.exit(f"not as expected: {what}")


def main(user_target, post_target):
    with connect(user_target) as user_channel, connect(post_target) as post_channel:
        users, posts = UserServiceStub(user_channel), PostServiceStub(post_channel)

        username = f"ada-{secrets.token_hex(4)}"
        user = write(users.CreateUser, user_service.CreateUserRequest(username=username, request_id=new_id())).user
        print(f'created users/{user.id} "{user.username}"')

        # All of them or none.
        batch = post_service.BatchCreatePostsRequest(request_id=new_id())
        for number in range(1, 6):
            batch.requests.add(user_id=user.id, title=f"Note {number}")
        created = write(posts.BatchCreatePosts, batch).posts
        print(f"created {len(created)} posts in one call")

        listed = []
        for number, page in enumerate(pages_of_posts(posts, user.id, page_size=2), start=1):
            print(f"page {number}: {len(page)} posts")
            listed.extend(post.id for post in page)
        expect(listed == [post.id for post in created], "the pages have all posts, once and by id")

        try:
            dangling = post_service.CreatePostRequest(user_id=999999999, title="By nobody", request_id=new_id())
            write(posts.CreatePost, dangling)
            sys.exit("not as expected: a post of an unknown user was created")
        except grpc.RpcError as error:
            print(f"refused: {refusal(error)}")

        # A client that has lost the answer does this, perhaps after a restart: it has kept the request and its id.
        request = post_service.CreatePostRequest(user_id=user.id, title="Just once", request_id=new_id())
        first, again = write(posts.CreatePost, request).post, write(posts.CreatePost, request).post
        print(f"created posts/{first.id}, and again under the same request_id: posts/{again.id}")
        expect(first == again, "both answers are the same post")

        # Show what a deletion would take along before it is asked for.
        preview = users.DeleteUser(user_service.DeleteUserRequest(id=user.id, validate_only=True)).deletion
        print(f"preview: deleting users/{user.id} would delete {preview.posts} posts")

        # From this answer on nobody sees the user. The rows are removed afterwards.
        deletion = write(users.DeleteUser, user_service.DeleteUserRequest(id=user.id, request_id=new_id())).deletion
        print(f"deleted: {state_of(deletion)}")
        deletion = follow(users, user.id)
        print(f"followed: {state_of(deletion)}, {deletion.posts} posts removed")
        expect(deletion.posts == preview.posts, "as many posts are gone as the preview said")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: example.py USER_TARGET POST_TARGET")
    try:
        main(*sys.argv[1:])
    except grpc.RpcError as error:
        sys.exit(f"failed: {error.code().name}: {error.details()}")
