"""What is measured on which systems."""

from collections import namedtuple

# A closed loop of clients that call one method. systems: those that have the method, by the beginnings of their names.
Load = namedtuple("Load", "method clients systems")
# A scenario of its own, see scenarios.py.
Scenario = namedtuple("Scenario", "name systems")

OURS = ("mariadb", "sqlite")
BASELINE = ("baseline mariadb", "baseline sqlite")
SECURED = ("secured mariadb", "secured sqlite")

LOADS = [
    Load("GetPost", 16, OURS + SECURED + BASELINE + ("echo", "secured echo", "statements in C", "Go pair",
                                                   "lesson's app")),
    Load("GetPostWithUser", 16, OURS + BASELINE + ("Go pair",)),
    Load("ListPosts", 16, OURS + BASELINE + ("Go pair",)),
    Load("ListPostsWithUsers", 16, OURS + ("Go pair",)),
    Load("CreatePost", 16, OURS + SECURED + BASELINE + ("statements in C", "Go pair", "lesson's app")),
    Load("CreatePostWithRequestId", 16, OURS + BASELINE),
    Load("BatchCreatePosts", 16, OURS + BASELINE),
    Load("LikePost", 16, OURS + BASELINE),
    Load("CreateUser", 16, OURS + BASELINE),
] + [Load(method, clients, OURS + ("Go pair",) + (("echo",) if method == "GetPost" else ()))
     for clients in (1, 64) for method in ("GetPost", "CreatePost")]

SCENARIOS = [
    Scenario("DeleteUser", OURS),
    Scenario("Reclaim", OURS),
    Scenario("HotUser", OURS),
    Scenario("Cascade", ("statements in C",)),
]

# What takes so long, or changes the system so much, that it is measured only if --only names it.
ON_REQUEST = [
    Scenario("Feed", OURS),
    Scenario("Check", OURS),
]

NAMES = sorted({load.method for load in LOADS}) + [scenario.name for scenario in SCENARIOS + ON_REQUEST]
