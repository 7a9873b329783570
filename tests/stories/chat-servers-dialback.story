# The gateways are servers to the local servers, in clear, and each asks the other back (dialback); everything restarts.
sites    hq field
weather  calm
seed     47
chat     servers=dialback filter=none

hq     chat ann to bob@field.test "One"
then   within 2m   field hears "One"
field  joins bob ops@chat.hq.test as Bob
then   within 2m   hq room ops@chat.hq.test has Bob
hq     chat ann to ops@chat.hq.test "Not in it"
field  chat bob to ops@chat.hq.test "To the room"
then   within 2m   field hears "To the room"
# A server that begins anew finds the gateway again, and the gateway it.
field  server down 3m
hq     chat ann to bob@field.test "Two"
hq     chat ann to bob@field.test "Three"
then   within 20m  field hears "Three"
then   field hears "Two" before "Three"
# A gateway that crashes in the middle of it does, too.
hq     crash after 15 outputs
hq     chat ann to bob@field.test "Four"
field  chat bob to ann@hq.test "Five"
then   within 20m  hq hears "Five"
wait   5m
hq     chat ann to bob@field.test "Six"
then   within 20m  field hears "Six"
