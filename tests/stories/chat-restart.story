# Gateways crash in the middle of a conversation: nothing is lost and nothing comes twice over the radio.
sites    hq field
weather  calm
seed     36
chat

hq     chat ann to bob@field.test "One"
hq     crash after 3 outputs
wait   20s
hq     chat ann to bob@field.test "Two"
field  chat bob to ann@hq.test "Three"
field  crash after 25 outputs
wait   2m
hq     chat ann to bob@field.test "Four"
hq     crash after 12 outputs
wait   1m
hq     chat ann to bob@field.test "Five"
field  crash for 2m
then   within 30m  field hears "Five"
then   within 30m  field hears "Four"
