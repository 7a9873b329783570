# Chat over a satellite link: TCP in the profile of this house, with crashes.
sites    hq field
weather  calm
seed     42
chat     over=tcp filter=none

hq     chat ann to bob@field.test "One"
then   within 30s  field hears "One"
field  chat bob to ann@hq.test "Two"
then   within 30s  hq hears "Two"
hq     crash after 8 outputs
hq     chat ann to bob@field.test "Three"
wait   20s
field  crash after 12 outputs
hq     chat ann to bob@field.test "Four"
wait   1m
hq     chat ann to bob@field.test "Five"
then   within 10m  field hears "Five"
