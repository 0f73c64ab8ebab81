"""Whether the rates depend on how much there is: pairs of services with few and many posts, and with deleted users."""

import json

from fill import given_ids, numbers, uuid
from ratios import of
from systems import Ours, insert_posts

WORKS = ("GetPost", "GetLikedPost", "ListPosts", "CreatePost")
WAITING_USERS = 1000
FIRST_WAITING = 1_000_000_000
LIKED_POSTS = 100
LIKES = 20  # of each of them: more than ten, and fewer than the deleted users
STEP = 100_000


def more_posts(database, count, users):
    """For users that are written, in turn, so that no page of a listed user gets longer."""
    first, last = min(users), max(users)
    parts = []
    for begin in range(0, count, STEP):
        some = min(STEP, count - begin)
        parts.append(insert_posts("seq", f"{first} + seq % {last - first + 1}", f"{numbers(database, some)} AS n",
                                  uuid(database)))
    return "".join(parts)


def likes(database, posts, users):
    """LIKES likes of each of these posts."""
    rows = ", ".join(f"({post}, {user}, 1764000000000000)" for post in posts for user in users[:LIKES])
    ids = ", ".join(map(str, posts))
    return (f"INSERT INTO likes (post_id, user_id, create_time) VALUES {rows};\n"
            f"UPDATE posts SET like_count = {LIKES} WHERE id IN ({ids});\n")


def waiting_users(database):
    """Users that user-service has released and whose deletion event never comes, each with ten posts."""
    first = FIRST_WAITING
    return (f"INSERT INTO user_refs (id, uid, state) SELECT {first} + seq, {uuid(database)}, 2 FROM "
            f"{numbers(database, WAITING_USERS)} AS n;\n"
            + insert_posts("seq", f"{first} + 1 + seq % {WAITING_USERS}",
                           f"{numbers(database, 10 * WAITING_USERS)} AS n", uuid(database)))


def fill(system, settings, variant):
    with open(system.population(), encoding="utf-8") as file:
        population = json.load(file)
    # Posts of listed users that are not read otherwise: so GetPost reads posts without likes.
    liked = population["like_posts"][:LIKED_POSTS]
    sql = likes(system.database, liked, population["written_users"])
    statements = {}
    if "deleted" in variant:
        statements["user-service"] = given_ids(system.database, FIRST_WAITING + 1_000_000)
        sql += waiting_users(system.database)
    elif not variant.startswith("10,000 "):
        sql += more_posts(system.database, settings.growth_posts - 10_000, population["written_users"])
    system.write({**statements, "post-service": sql})
    population["liked_posts"] = liked
    with open(system.population(), "w", encoding="utf-8") as file:
        json.dump(population, file)


def run_rounds(settings, systems, show):
    records = []
    for number in range(1, settings.rounds + 1):
        steps = [(method, system) for method in WORKS for system in systems]
        for method, system in steps if number % 2 else list(reversed(steps)):
            result = system.load([f"main={method}:16"], settings.seconds, number)
            if method == "CreatePost":
                system.settle()
            records.append(dict(result["groups"]["main"], processes=result["processes"], round=number,
                                work="Growth: " + of(method), system=system.name))
            show(records[-1])
    return records


def start(settings):
    """Six pairs, each filled and running."""
    systems = []
    try:
        for database in ("mariadb", "sqlite"):
            for variant in ("10,000 posts", f"{settings.growth_posts:,} posts", "1,000 deleted users wait"):
                system = Ours(f"{database}, {variant}".replace(",", ""), settings, settings.build, database)
                systems.append(system)
                system.start()
                fill(system, settings, variant)
                print(f"started {system.name}", flush=True)
    except BaseException:
        for system in systems:
            system.stop()
        raise
    return systems
