# A room of one site is used from the other: history, subject, nick, messages, leaving.
sites    hq field
weather  calm
seed     35
chat

hq     joins ann ops@chat.hq.test as Ann
hq     chat ann to ops@chat.hq.test "Said before"
hq     subject ann ops@chat.hq.test "Plans"
field  joins bob ops@chat.hq.test as Bob
then   within 4m   field hears "Said before"
then   hq room ops@chat.hq.test has Bob
then   within 1m   hq sees ops@chat.hq.test/Bob online
field  chat bob to ops@chat.hq.test "Hello all"
then   within 4m   hq hears "Hello all"
then   within 4m   field hears "Hello all"
field  pings bob ops@chat.hq.test/Bob
then   within 1s   field gets pong from ops@chat.hq.test/Bob
field  joins bob ops@chat.hq.test as Robert
then   within 4m   hq room ops@chat.hq.test has Robert
then   within 1m   field sees ops@chat.hq.test/Robert online
# It sits there under its new name and no more under the old one; nothing of these questions crosses.
field  pings bob ops@chat.hq.test/Robert
then   within 1s   field gets pong from ops@chat.hq.test/Robert
field  pings bob ops@chat.hq.test/Bob
then   within 1s   field gets item-not-found for bob
field  leaves bob ops@chat.hq.test as Robert
then   within 4m   hq sees ops@chat.hq.test/Robert offline
field  pings bob ops@chat.hq.test/Robert
then   within 1m   field gets not-acceptable for bob
