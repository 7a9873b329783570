"""XMPP clients and components of the tests: slixmpp, driven by JSON lines.

Reads one order a line from standard input, writes one event a line to standard output. Every order names the address
("who") it is for; every event names the address it came to. Ends with its standard input.
"""

import asyncio
import json
import logging
import sys

from slixmpp import ClientXMPP, ComponentXMPP
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

MUC = "{http://jabber.org/protocol/muc#user}"


def tell(who, event, **facts):
    facts = {name: value for name, value in facts.items() if value not in (None, "")}
    print(json.dumps({"who": str(who), "event": event, **facts}), flush=True)


def delay_of(stanza):
    found = stanza.xml.find("{urn:xmpp:delay}delay")
    return None if found is None else found.get("stamp")


def condition_of(stanza):
    return stanza["error"]["condition"] if stanza["type"] == "error" else None


class Ears:
    """What clients and components tell of what they hear."""

    def listen(self):
        self.who = self.boundjid.bare
        # The library's own events leave out messages without a body: subjects, errors.
        every = MatchXPath("{%s}message" % self.default_ns)
        self.register_handler(Callback("Every message", every, self.heard_message))
        self.add_event_handler("disconnected", lambda reason: tell(self.who, "disconnected", reason=str(reason)))
        self.add_event_handler("failed_all_auth", lambda _: tell(self.who, "refused"))
        # The library takes what somebody shows for a type of presence.
        shows = ("away", "chat", "dnd", "xa")
        kinds = ("available", "unavailable", "error", "subscribe", "subscribed", "unsubscribe", "unsubscribed")
        for kind in kinds + shows:
            self.add_event_handler("presence_" + kind, self.heard_presence)

    def heard_message(self, stanza):
        tell(
            self.who,
            "message",
            id=stanza["id"],
            kind=stanza["type"],
            **{"from": str(stanza["from"])},
            body=stanza["body"],
            subject=stanza["subject"],
            delay=delay_of(stanza),
            condition=condition_of(stanza),
        )

    def heard_presence(self, stanza):
        codes = [status.get("code") for status in stanza.xml.iter(MUC + "status")]
        tell(
            self.who,
            "presence",
            kind=stanza.xml.get("type", "available"),
            **{"from": str(stanza["from"])},
            show=stanza.xml.findtext("{%s}show" % self.default_ns),
            status=stanza["status"],
            codes=codes or None,
            condition=condition_of(stanza),
        )

    def order(self, order):
        do = order["do"]
        if do == "send":
            stanza = self.make_message(order["to"], mbody=order.get("body"), mtype=order.get("kind", "chat"))
            stanza["id"] = order["id"]
            if "subject" in order:
                stanza["subject"] = order["subject"]
            if "from" in order:
                stanza["from"] = order["from"]
            stanza.send()
        elif do == "presence":
            self.send_presence(
                pto=order.get("to"), ptype=order.get("kind"), pshow=order.get("show"), pstatus=order.get("status"),
                pfrom=order.get("from"),
            )
        elif do == "join":
            self.make_join(order["room"], order["nick"], order.get("history", 20))
        elif do == "raw":
            self.send_raw(order["xml"])
        elif do == "ping":
            asyncio.ensure_future(self.ping(order["to"]))
        elif do == "logout":
            self.disconnect()
        else:
            tell(self.who, "mistake", reason="no order is called " + do)

    def make_join(self, room, nick, history):
        stanza = self.make_presence(pto=room + "/" + nick)
        muc = stanza.xml.makeelement("{http://jabber.org/protocol/muc}x", {})
        muc.append(muc.makeelement("{http://jabber.org/protocol/muc}history", {"maxstanzas": str(history)}))
        stanza.xml.append(muc)
        stanza.send()

    async def ping(self, to):
        stanza = self.make_iq_get(ito=to)
        stanza.xml.append(stanza.xml.makeelement("{urn:xmpp:ping}ping", {}))
        try:
            await stanza.send(timeout=20)
            tell(self.who, "pong", **{"from": to})
        except IqError as error:
            tell(self.who, "pong", **{"from": to}, condition=error.iq["error"]["condition"])
        except IqTimeout:
            tell(self.who, "pong", **{"from": to}, condition="timeout")


class Client(Ears, ClientXMPP):
    def __init__(self, order):
        super().__init__(order["who"], order["password"])
        self.enable_direct_tls = self.enable_starttls = False
        self.enable_plaintext = True
        self.plugin["feature_mechanisms"].unencrypted_plain = True
        self.auto_authorize = self.auto_subscribe = order.get("agree", True)
        self.listen()
        self.who = order["who"].split("/")[0]
        self.add_event_handler("session_start", lambda _: tell(self.who, "online", address=str(self.boundjid)))


class Component(Ears, ComponentXMPP):
    def __init__(self, order):
        super().__init__(order["who"], order["secret"], order["host"], order["port"])
        self.auto_authorize = self.auto_subscribe = order.get("agree", True)
        self.listen()
        self.who = order["who"]
        self.add_event_handler("session_start", lambda _: tell(self.who, "online", address=self.who))


async def main():
    parties = {}
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        order = json.loads(line)
        who = order["who"].split("/")[0]
        if order["do"] in ("login", "component"):
            maker = Client if order["do"] == "login" else Component
            parties[who] = maker(order)
            parties[who].connect(order["host"], order["port"])
        elif who in parties:
            parties[who].order(order)
        else:
            tell(who, "mistake", reason="not logged in")


logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
asyncio.run(main())
