# Chat over HF as the guide of M-Link R17 configures it: one zlib stream, which has to begin anew when an end forgets it.
sites    hq field
weather  calm
seed     46
chat     profile=m-link-r17

hq     chat ann to bob@field.test "One"
then   within 2m   field hears "One"
field  chat bob to ann@hq.test "Two"
then   within 2m   hq hears "Two"
# The reader begins anew: it cannot read on and says so; what was in the stream meanwhile may be lost, what follows not.
field  crash for 1m
wait   2m
hq     chat ann to bob@field.test "Lost, perhaps"
wait   3m
hq     chat ann to bob@field.test "Three"
then   within 10m  field hears "Three"
# The writer begins anew: the first unit of its new stream is known as that.
hq     crash for 1m
wait   2m
hq     chat ann to bob@field.test "Four"
then   within 10m  field hears "Four"
field  chat bob to ann@hq.test "Five"
then   within 10m  hq hears "Five"
