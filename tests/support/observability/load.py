"""Calls that make every metric appear, with grpcurl: each kind of call, and every way in which a deletion can go."""

import json
import subprocess
import time

PATIENCE = 30


class Failed(Exception):
    pass


class Services:
    def __init__(self, grpcurl, user_address, post_address):
        self.grpcurl = grpcurl
        self.addresses = {"user": user_address, "post": post_address}

    def attempt(self, method, request):
        """(ok, the answer or what grpcurl printed)"""
        service = method.split(".")[0]
        done = subprocess.run([self.grpcurl, "-plaintext", "-max-time", "20", "-d", json.dumps(request),
                               self.addresses[service], method],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, text=True)
        return (True, json.loads(done.stdout)) if done.returncode == 0 else (False, done.stderr + done.stdout)

    def call(self, method, request):
        """The answer. Calls again while the services look for each other."""
        deadline = time.monotonic() + PATIENCE
        while True:
            ok, answer = self.attempt(method, request)
            if ok:
                return answer
            if "Unavailable" not in answer or time.monotonic() > deadline:
                raise Failed(f"{method} {request}: {answer}")
            time.sleep(0.1)

    def refused(self, method, request, code):
        ok, answer = self.attempt(method, request)
        if ok or f"Code: {code}" not in answer:
            raise Failed(f"{method} {request} should be refused with {code}: {answer}")

    def user(self, name):
        return self.call("user.v1.UserService/CreateUser", {"username": name})["user"]["id"]

    def posts(self, user, count):
        requests = [{"user_id": user, "title": f"Post {number}"} for number in range(count)]
        made = self.call("post.v1.PostService/BatchCreatePosts", {"requests": requests})["posts"]
        return [post["id"] for post in made]

    def await_completed(self, user):
        deadline = time.monotonic() + PATIENCE
        while True:
            deletion = self.call("user.v1.UserService/GetUserDeletion", {"user_id": user})["deletion"]
            if deletion["state"] == "DELETION_STATE_COMPLETED":
                return
            if time.monotonic() > deadline:
                raise Failed(f"the deletion does not complete: {deletion}")
            time.sleep(0.1)


def everything(services):
    """Makes the calls for which both services have to be there.

    There are users, posts, likes and pins; refusals; RESTRICT; a cascade, and the deletion of a single post.
    """
    ada, grace, edsger = (services.user(name) for name in ("ada", "grace", "edsger"))
    posts = services.posts(ada, 20) + services.posts(grace, 3)
    for post, user in [(post, grace) for post in posts[:5]] + [(posts[-1], ada), (posts[-2], edsger)]:
        services.call("post.v1.PostService/LikePost", {"post_id": post, "user_id": user})
    for user, post in ((grace, posts[1]), (edsger, posts[-2])):
        services.call("user.v1.UserService/UpdateUser", {"user": {"id": user, "pinned_post_id": post}})
    services.call("post.v1.PostService/ListPosts", {"user_id": ada, "include_users": True})
    services.call("post.v1.PostService/ListPostLikes", {"post_id": posts[0]})
    services.call("post.v1.PostService/UpdatePost", {"post": {"id": posts[0], "title": "Another title"}})
    services.refused("post.v1.PostService/CreatePost", {"user_id": 999999, "title": "By nobody"}, "FailedPrecondition")
    services.refused("user.v1.UserService/GetUser", {"id": 999999}, "NotFound")
    services.refused("user.v1.UserService/DeleteUser", {"id": ada, "on_delete": "REFERENTIAL_ACTION_RESTRICT"},
                     "FailedPrecondition")
    services.call("post.v1.PostService/DeletePost", {"id": posts[-2]})
    services.call("user.v1.UserService/DeleteUser", {"id": ada})
    services.await_completed(ada)


def without_post_service(services):
    """A deletion that post-service does not answer is PENDING."""
    deletion = services.call("user.v1.UserService/DeleteUser", {"id": services.user("barbara")})["deletion"]
    if deletion["state"] != "DELETION_STATE_PENDING":
        raise Failed(f"not pending: {deletion}")
    return deletion["user_id"]
