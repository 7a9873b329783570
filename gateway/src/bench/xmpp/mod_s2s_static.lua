-- Where the servers of a closed network are, without DNS:
--     s2s_static = { ["field.test"] = { "127.0.0.1", 5269 } }
-- Load it on every host and component that sends to them: global modules do not reach components.

local connect = require "net.connect".connect;
local manual = require "net.resolvers.manual";
local new_outgoing = require "core.s2smanager".new_outgoing;
local portmanager = require "core.portmanager";
local stanza_tools = require "util.stanza";

local places = module:get_option("s2s_static", {});
local core_process_stanza = prosody.core_process_stanza;

-- What waited for a connection that never came goes back as an error, as in Prosody's own module.
local function bounce(session, reason)
	local waiting = session.sendq;
	session.sendq = nil;
	local nobody = { type = "s2sin", dummy = true, send = function () end, close = function () end };
	for _, item in ipairs(waiting or {}) do
		local reply = item[2];
		if reply and not reply.attr.xmlns then
			reply.attr.type = "error";
			reply:tag("error", { type = "wait", by = session.from_host })
				:tag("remote-server-timeout", { xmlns = "urn:ietf:params:xml:ns:xmpp-stanzas" }):up()
				:text_tag("text", tostring(reason or "no connection"), { xmlns = "urn:ietf:params:xml:ns:xmpp-stanzas" });
			core_process_stanza(nobody, reply);
		end
	end
end

local function route(event)
	local place = places[event.to_host];
	if not place then return; end
	local stanza = event.stanza;
	local session = new_outgoing(event.from_host, event.to_host);
	local answerable = stanza.attr.type ~= "error" and stanza.attr.type ~= "result";
	session.version = 1;
	session.bounce_sendq = bounce;
	session.sendq = { { tostring(stanza), answerable and stanza_tools.reply(stanza) } };
	module:fire_event("s2sout-created", { session = session });
	local service = portmanager.get_service("s2s");
	connect(manual.new({ { "tcp", place[1], place[2] } }, "tcp"), service.listener, nil, { session = session });
	return true;
end

-- After an existing session (-1), before the search in DNS (-10).
function module.add_host(host)
	host:hook("route/remote", route, -5);
end

if module.host ~= "*" then
	module:hook("route/remote", route, -5);
end
