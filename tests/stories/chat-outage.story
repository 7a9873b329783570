# The radio is out: chat waits, says afterwards that it waited, keeps its order; nobody is thrown out of a room.
sites    hq field
weather  calm
seed     32
chat     delay-after=60s

field  joins bob ops@chat.hq.test as Bob
hq     joins ann ops@chat.hq.test as Ann
then   within 3m   hq room ops@chat.hq.test has Bob
hq     chat ann to bob@field.test "Before the storm"
then   within 2m   field hears "Before the storm"
wait   2m
radio  outage 20m
hq     chat ann to bob@field.test "One"
hq     chat ann to ops@chat.hq.test "To the room"
field  chat bob to ann@hq.test "Two"
wait   3m
hq     chat ann to bob@field.test "Three"
hq     chat ann to ops@chat.hq.test "Later to the room"
never  within 10m  field hears "One"
then   within 40m  field hears "Three"
then   within 10m  hq hears "Two"
then   field hears "One" before "Three"
then   within 10m  field hears "Later to the room"
# What was in a block already when the radio went out cannot say that it waited; what came later does.
then   within 1m   field hears "Three" delayed
then   within 1m   field hears "Later to the room" delayed
then   hq room ops@chat.hq.test has Bob
