"""SQL that fills the tables of both services with more rows than calls could write in the time."""

FIRST_USER = 10_000_000
STEP = 100_000


def numbers(database, count):
    """A table of the numbers from 1 on, in a column seq."""
    if database == "mariadb":
        return f"seq_1_to_{count}"
    return ("(WITH RECURSIVE n(seq) AS "
            f"(SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < {count}) SELECT seq FROM n)")


def uuid(database):
    return "UUID()" if database == "mariadb" else "lower(hex(randomblob(18)))"


def given_ids(database, last):
    """For user-service: it has given the ids of users up to this one. Else it would take them for lost."""
    if database == "mariadb":
        return f"ALTER TABLE users AUTO_INCREMENT = {last + 1};\n"
    return (f"DELETE FROM sqlite_sequence WHERE name = 'users';\n"
            f"INSERT INTO sqlite_sequence (name, seq) VALUES ('users', {last});\n")


def uid_of(database, number):
    """The same in both databases."""
    if database == "mariadb":
        return f"CONCAT('00000000-0000-4000-8000-', LPAD({number}, 12, '0'))"
    return f"printf('00000000-0000-4000-8000-%012d', {number})"


def references(system, count):
    """Users that post-service knows, so that it has as many references. Only the first call fills them in."""
    if system.has_references:
        return
    system.has_references = True
    database = system.database
    users, known = "", ""
    for begin in range(0, count, STEP):
        number = f"{FIRST_USER + begin} + seq"
        source = f"{numbers(database, min(STEP, count - begin))} AS n"
        name = f"CONCAT('user ', {number})" if database == "mariadb" else f"'user ' || ({number})"
        users += ("INSERT INTO users (id, uid, username, state, version, create_time, update_time) SELECT "
                  f"{number}, {uid_of(database, number)}, {name}, 1, 1, 1764000000000000, 1764000000000000 "
                  f"FROM {source};\n")
        known += (f"INSERT INTO user_refs (id, uid, state) SELECT {number}, {uid_of(database, number)}, 1 "
                  f"FROM {source};\n")
    system.write({"user-service": users, "post-service": known})
