#!/usr/bin/env python3
"""Puts a limited load on both services, for the picture: drive.py GENERATED USER POST SECONDS

Some users write, read and like all the time. Now and then a user with thousands of posts is deleted by cascade, and now
and then the deletion of a user is refused. GENERATED holds the Python code of the protos.
"""

import random
import sys
import threading
import time
import uuid

import grpc

WORKERS = 6
PAUSE = 0.045  # seconds of a worker between calls, on average
POSTS_OF_A_BIG_USER = 6000
BATCH = 1000


class Drive:
    def __init__(self, user_address, post_address, seconds):
        from post.v1 import post_service_pb2, post_service_pb2_grpc
        from user.v1 import user_service_pb2, user_service_pb2_grpc
        self.user_pb, self.post_pb = user_service_pb2, post_service_pb2
        self.users = user_service_pb2_grpc.UserServiceStub(grpc.insecure_channel(user_address))
        self.posts = post_service_pb2_grpc.PostServiceStub(grpc.insecure_channel(post_address))
        self.end = time.monotonic() + seconds
        self.lock = threading.Lock()
        self.known_users, self.known_posts = [], []
        self.calls = 0

    def running(self):
        return time.monotonic() < self.end

    def one_of(self, known):
        with self.lock:
            return random.choice(known[-400:]) if known else 0

    def make_user(self):
        request = self.user_pb.CreateUserRequest(username=f"user-{uuid.uuid4().hex[:12]}")
        user = self.users.CreateUser(request, timeout=5).user
        with self.lock:
            self.known_users.append(user.id)

    def make_post(self):
        request = self.post_pb.CreatePostRequest(title="A post", content="Text. " * 40,
                                                 user_id=self.one_of(self.known_users), request_id=str(uuid.uuid4()))
        post = self.posts.CreatePost(request, timeout=5).post
        with self.lock:
            self.known_posts.append(post.id)

    def like(self):
        self.posts.LikePost(self.post_pb.LikePostRequest(post_id=self.one_of(self.known_posts),
                                                         user_id=self.one_of(self.known_users)), timeout=5)

    def pin(self):
        request = self.user_pb.UpdateUserRequest()
        request.user.id = self.one_of(self.known_users)
        request.user.pinned_post_id = self.one_of(self.known_posts)
        self.users.UpdateUser(request, timeout=5)

    def list_posts(self):
        self.posts.ListPosts(self.post_pb.ListPostsRequest(user_id=self.one_of(self.known_users), include_users=True),
                             timeout=5)

    def get_post(self):
        self.posts.GetPost(self.post_pb.GetPostRequest(id=self.one_of(self.known_posts), include_user=True), timeout=5)

    def get_user(self):
        self.users.GetUser(self.user_pb.GetUserRequest(id=self.one_of(self.known_users)), timeout=5)

    def post_of_nobody(self):
        nobody = 10**9 + random.randrange(10**6)
        self.posts.CreatePost(self.post_pb.CreatePostRequest(title="By nobody", user_id=nobody), timeout=5)

    def delete_post(self):
        with self.lock:
            post = self.known_posts.pop(random.randrange(len(self.known_posts))) if len(self.known_posts) > 50 else 0
        if post:
            self.posts.DeletePost(self.post_pb.DeletePostRequest(id=post), timeout=5)

    def delete_user(self, on_delete=0):
        with self.lock:
            index = random.randrange(len(self.known_users)) if len(self.known_users) > 20 else None
            user = None if index is None else self.known_users[index] if on_delete else self.known_users.pop(index)
        if user:
            self.users.DeleteUser(self.user_pb.DeleteUserRequest(id=user, on_delete=on_delete), timeout=5)

    def restrict(self):
        self.delete_user(on_delete=1)

    def work(self):
        choices = ([self.list_posts] * 30 + [self.get_post] * 25 + [self.get_user] * 15 + [self.make_post] * 18 +
                   [self.like] * 14 + [self.make_user] * 4 + [self.pin] * 2 + [self.post_of_nobody] * 1 +
                   [self.delete_post] * 2 + [self.restrict] * 1 + [self.delete_user] * 1)
        while self.running():
            time.sleep(random.expovariate(1 / PAUSE))
            # The load comes and goes.
            if random.random() < 0.35 * (1 + (time.monotonic() % 60 > 30)) / 2:
                continue
            try:
                self.calls += 1
                random.choice(choices)()
            except grpc.RpcError:
                pass  # refusals are part of it

    def delete_big_users(self):
        while self.running():
            try:
                user = self.users.CreateUser(self.user_pb.CreateUserRequest(username=f"big-{uuid.uuid4().hex[:12]}"),
                                             timeout=5).user.id
                for _ in range(POSTS_OF_A_BIG_USER // BATCH):
                    one = self.post_pb.CreatePostRequest(title="One of many", user_id=user)
                    batch = self.post_pb.BatchCreatePostsRequest(requests=[one] * BATCH)
                    self.posts.BatchCreatePosts(batch, timeout=20)
                    time.sleep(1.5)
                time.sleep(3)
                self.users.DeleteUser(self.user_pb.DeleteUserRequest(id=user), timeout=10)
            except grpc.RpcError:
                time.sleep(1)
            time.sleep(8)

    def run(self):
        for _ in range(20):
            self.make_user()
        threads = [threading.Thread(target=self.work) for _ in range(WORKERS)]
        threads.append(threading.Thread(target=self.delete_big_users))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(f"{self.calls} calls")


def main():
    generated, user_address, post_address, seconds = sys.argv[1:5]
    sys.path.insert(0, generated)
    Drive(user_address, post_address, float(seconds)).run()


main()
