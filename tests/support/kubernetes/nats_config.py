"""Reads the configuration of a NATS server, as far as deploy/kubernetes and deploy/compose have it."""

import re

TOKEN = re.compile(r'\s+|,|(?:#|//)[^\n]*|(?P<mark>[{}\[\]])|(?P<text>"[^"]*"|\'[^\']*\')|(?P<word>[^\s{}\[\],#]+)')

SERVICES, READERS = "CROSSKEY", "READERS"  # accounts
READER, OPERATORS = "reader", ("operator", "readers-operator")  # users beside the services


def parse(text):
    """Maps are dicts, other values texts, `$NAME` as it is written. {"include": [names]} is what is included."""
    tokens = []
    at = 0
    while at < len(text):
        found = TOKEN.match(text, at)
        if not found:
            raise ValueError(f"not understood: {text[at:at + 20]!r}")
        at = found.end()
        if found["mark"]:
            tokens.append(found["mark"])
        elif found["text"]:
            tokens.append(("text", found["text"][1:-1]))
        elif found["word"]:
            tokens.append(("word", found["word"]))
    return block(tokens, "")


def block(tokens, end):
    found = {}
    while tokens and tokens[0] != end:
        token = tokens.pop(0)
        if token in ("{", "}", "[", "]"):
            raise ValueError(f"{token} where a key is expected")
        key = token[1].rstrip(":=")
        if key == "include":
            found.setdefault("include", []).append(value(tokens))
            continue
        while tokens and tokens[0] in (("word", ":"), ("word", "=")):
            tokens.pop(0)
        if key in found:
            raise ValueError(f"{key} is there twice")
        found[key] = value(tokens)
    if end:
        if not tokens:
            raise ValueError(f"there is no {end}")
        tokens.pop(0)
    return found


def value(tokens):
    if not tokens:
        raise ValueError("a value is missing")
    token = tokens.pop(0)
    if token == "{":
        return block(tokens, "}")
    if token == "[":
        found = []
        while tokens and tokens[0] != "]":
            found.append(value(tokens))
        if not tokens:
            raise ValueError("there is no ]")
        tokens.pop(0)
        return found
    if token in ("}", "]"):
        raise ValueError(f"{token} where a value is expected")
    return token[1]


def size(text):
    """Bytes: the server counts in powers of 1024."""
    number, unit = re.fullmatch(r"(\d+)([KMGT]?)i?B?", text).groups()
    return int(number) * 1024 ** " KMGT".index(unit or " ")


def reading(stream):
    """What it takes to read a stream."""
    return {f"$JS.API.STREAM.INFO.{stream}", f"$JS.API.STREAM.MSG.GET.{stream}", f"$JS.API.CONSUMER.CREATE.{stream}",
            f"$JS.API.CONSUMER.CREATE.{stream}.>", f"$JS.API.CONSUMER.INFO.{stream}.*",
            f"$JS.API.CONSUMER.DELETE.{stream}.*", f"$JS.FC.{stream}.>"}


def subjects(prefix, service, peer):
    """What a service has to publish to: its events, its own stream, the stream of the other one to read it."""
    own = f"{prefix}_{service}"
    return {f"{prefix}.{service}.>", f"$JS.API.STREAM.CREATE.{own}", f"$JS.API.STREAM.INFO.{own}",
            f"$JS.API.STREAM.MSG.GET.{own}"} | reading(f"{prefix}_{peer}")


def rights(prefix, user, peers):
    """(what a user has to publish to, what it has to subscribe to). Operators delete streams, and write none."""
    if user == READER:
        return set().union(*(reading(f"{prefix}_{service}") for service in peers)), {f"_INBOX.{prefix}.events.>"}
    publish = {"$JS.API.>"} if user in OPERATORS else subjects(prefix, user, peers.get(user))
    return publish, {f"_INBOX.{prefix}.{user}.>"}


def exports(prefix, peers):
    """What an account of readers needs to copy the streams, and no more."""
    api = [f"$JS.API.CONSUMER.CREATE.{prefix}_{service}" for service in peers]
    flow = [f"$JS.FC.{prefix}_{service}.>" for service in peers]
    return api, flow, f"{prefix}.readers.>"


def shares_too_much(accounts, prefix, peers):
    api, flow, delivery = exports(prefix, peers)
    wanted = [{"service": each, "accounts": [READERS]} for each in api + flow]
    wanted.append({"stream": delivery, "accounts": [READERS]})
    if accounts[SERVICES].get("exports") != wanted:
        yield f"{SERVICES} exports something else than what the copies of {READERS} need"
    wanted = [{"service": {"account": SERVICES, "subject": each}, "to": each.replace("$JS.", f"$JS.{SERVICES}.", 1)}
              for each in api]
    wanted += [{"service": {"account": SERVICES, "subject": each}} for each in flow]
    wanted.append({"stream": {"account": SERVICES, "subject": delivery}})
    if accounts[READERS].get("imports") != wanted or "exports" in accounts[READERS] or "imports" in accounts[SERVICES]:
        yield f"{READERS} imports something else than what its copies need"
    limits = accounts[READERS].get("jetstream")
    if not isinstance(limits, dict) or set(limits) != {"max_file", "max_streams", "max_consumers"}:
        yield f"{READERS} may fill the store"


def users(configuration):
    """{user: (password, what it may publish to, what it may subscribe to)} of all accounts. None is a permission for
    everything."""
    found = {}
    for account in configuration.get("accounts", {}).values():
        for each in account.get("users", []):
            permissions = each.get("permissions", {})
            found[each.get("user")] = (each.get("password", ""), allowed(permissions.get("publish")),
                                       allowed(permissions.get("subscribe")))
    return found


def allowed(permission):
    return set(permission) if isinstance(permission, list) else None


def may_too_much(configuration, peers, prefix):
    """What is wrong with accounts: one for the services and one for readers, each with an operator and nobody else,
    with passwords that are not here, and with the rights that they need."""
    if set(configuration) & {"authorization", "no_auth_user", "system_account"}:
        yield "somebody else is let in than the users of the accounts"
    accounts = configuration.get("accounts", {})
    if set(accounts) != {SERVICES, READERS} or accounts[SERVICES].get("jetstream") != "enabled":
        yield f"there are not two accounts, {SERVICES} with JetStream and {READERS}"
        return
    yield from shares_too_much(accounts, prefix, list(peers))
    for account, known in ((SERVICES, [*peers, OPERATORS[0]]), (READERS, [READER, OPERATORS[1]])):
        has = [str(each.get("user")) for each in accounts[account].get("users", [])]
        if sorted(has) != sorted(known):
            yield f"the users of {account} are {sorted(has)}"
    found = users(configuration)
    for user, (password, publish, subscribe) in found.items():
        if password != f"${user.upper().replace('-', '_')}_PASSWORD":
            yield f"the password of {user} is not the one that is included"
        if user not in {*peers, READER, *OPERATORS}:
            continue
        wanted, inboxes = rights(prefix, user, peers)
        for what, has, needs in (("publish to", publish, wanted), ("subscribe to", subscribe, inboxes)):
            if has is None or has - needs:
                yield f"{user} may {what} {'everything' if has is None else sorted(has - needs)}"
            elif needs - has:
                yield f"{user} may not {what} {sorted(needs - has)}"
