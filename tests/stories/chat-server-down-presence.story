# The server at the far end is down while somebody leaves a room there and shows himself away: presence waits as words do,
# the newest of it.
sites    hq field
weather  calm
seed     83
chat

hq     online ann
field  online bob
field  subscribes bob to ann@hq.test
then   within 5m   field sees ann@hq.test online
field  server down 10m
hq     offline ann
wait   2m
hq     online ann away
wait   2m
hq     chat ann to bob@field.test "Out for lunch"
then   within 20m  field hears "Out for lunch"
then   within 1m   field sees ann@hq.test away
