"""Reads the configuration of a NATS server, as far as deploy/kubernetes and deploy/compose have it."""

import re

TOKEN = re.compile(r'\s+|,|(?:#|//)[^\n]*|(?P<mark>[{}\[\]])|(?P<text>"[^"]*"|\'[^\']*\')|(?P<word>[^\s{}\[\],#]+)')

OPERATOR = "operator"  # the user who deletes a stream


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


def subjects(prefix, service, peer):
    """What a service has to publish to: its events, its own stream, the stream of the other one to read it."""
    own, other = f"{prefix}_{service}", f"{prefix}_{peer}"
    return {
        f"{prefix}.{service}.>",
        f"$JS.API.STREAM.CREATE.{own}", f"$JS.API.STREAM.INFO.{own}", f"$JS.API.STREAM.MSG.GET.{own}",
        f"$JS.API.STREAM.INFO.{other}", f"$JS.API.STREAM.MSG.GET.{other}",
        f"$JS.API.CONSUMER.CREATE.{other}", f"$JS.API.CONSUMER.CREATE.{other}.>",
        f"$JS.API.CONSUMER.INFO.{other}.*", f"$JS.API.CONSUMER.DELETE.{other}.*", f"$JS.FC.{other}.>"}


def rights(prefix, user, peers):
    """(what a user has to publish to, what it has to subscribe to). The operator may delete streams, and write none."""
    publish = {"$JS.API.>"} if user == OPERATOR else subjects(prefix, user, peers.get(user))
    return publish, {f"_INBOX.{prefix}.{user}.>"}


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
    """What is wrong with accounts: a user for each service, one for the operator and nobody else, with a password that
    is not here, and with the rights that it needs."""
    if set(configuration) & {"authorization", "no_auth_user", "system_account"}:
        yield "somebody else is let in than the users of the accounts"
    accounts = configuration.get("accounts", {})
    if len(accounts) != 1 or any(each.get("jetstream") != "enabled" for each in accounts.values()):
        yield "there is not one account, with JetStream"
    found = users(configuration)
    if set(found) != {*peers, OPERATOR}:
        yield f"the users are {sorted(map(str, found))}"
    for user, (password, publish, subscribe) in found.items():
        if password != f"${user.upper().replace('-', '_')}_PASSWORD":
            yield f"the password of {user} is not the one that is included"
        wanted, inboxes = rights(prefix, user, peers)
        for what, has, needs in (("publish to", publish, wanted), ("subscribe to", subscribe, inboxes)):
            if has is None or has - needs:
                yield f"{user} may {what} {'everything' if has is None else sorted(has - needs)}"
            elif needs - has:
                yield f"{user} may not {what} {sorted(needs - has)}"
