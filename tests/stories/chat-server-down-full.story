# The server at the far end is down for long, and there is no place left for what comes by radio: the rest waits with its
# sender's gateway, unconfirmed, and nothing is lost, doubled or out of order. The other way chat goes on.
sites    hq field
weather  calm
seed     81
chat     local-queue=3

field  server down 40m
hq     chat ann to bob@field.test "One"
wait   1m
hq     chat ann to bob@field.test "Two"
wait   1m
hq     chat ann to bob@field.test "Three"
wait   2m
then   hq shows "taken over by the far gateway"
hq     chat ann to bob@field.test "Four"
wait   1m
hq     chat ann to bob@field.test "Five"
wait   3m
then   field shows "far_site_held_back"
then   hq shows "waits for its turn, or for the far site to confirm it"
# What waits with the far gateway outlives its crash too, and that of the one whose server is down.
field  crash for 1m
hq     crash for 1m
never  within 20m  field hears "One"
then   within 40m  field hears "Five"
then   field hears "One" before "Two"
then   field hears "Two" before "Three"
then   field hears "Three" before "Four"
then   field hears "Four" before "Five"
then   field hears 5 texts
