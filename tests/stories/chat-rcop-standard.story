# Chat over HF exactly as XEP-0365 says: a stanza to a unit, confirmed by the peer's node, which is not its disk.
sites    hq field
weather  calm
seed     45
chat     profile=standard

hq     chat ann to bob@field.test "One"
then   within 2m  field hears "One"
field  joins bob ops@chat.hq.test as Bob
then   within 2m  hq room ops@chat.hq.test has Bob
radio  outage 10m
hq     chat ann to bob@field.test "Two"
field  chat bob to ann@hq.test "Three"
wait   1m
hq     chat ann to bob@field.test "Four"
then   within 30m  field hears "Four"
then   field hears "Two" before "Four"
then   within 10m  hq hears "Three"
# Both gateways begin anew: nothing that still waits is lost.
hq     crash for 1m
field  crash for 1m
wait   2m
hq     chat ann to bob@field.test "Five"
then   within 10m  field hears "Five"
