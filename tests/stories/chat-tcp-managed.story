# Chat over TCP by the XEPs with stream management (XEP-0198): what is confirmed is on the peer's disk, whatever crashes.
sites    hq field
weather  calm
seed     44
chat     over=tcp profile=standard sm=explicit filter=none

hq     chat ann to bob@field.test "One"
then   within 30s  field hears "One"
field  crash after 6 outputs
hq     chat ann to bob@field.test "Two"
hq     chat ann to bob@field.test "Three"
field  chat bob to ann@hq.test "Four"
wait   1m
hq     crash after 10 outputs
hq     chat ann to bob@field.test "Five"
wait   2m
hq     chat ann to bob@field.test "Six"
then   within 10m  field hears "Six"
then   within 1m   field hears "Two" before "Three"
then   within 1m   field hears "Five" before "Six"
then   within 1m   hq hears "Four"
