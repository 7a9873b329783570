# Chat over TCP exactly as the XEPs say: what was written counts as sent.
sites    hq field
weather  calm
seed     43
chat     over=tcp profile=standard filter=none

hq     chat ann to bob@field.test "One"
then   within 30s  field hears "One"
field  chat bob to ann@hq.test "Two"
then   within 30s  hq hears "Two"
field  joins bob ops@chat.hq.test as Bob
then   within 30s  hq room ops@chat.hq.test has Bob
# A restart of either end loses nothing that waits.
field  crash for 2m
wait   30s
hq     chat ann to bob@field.test "Three"
hq     chat ann to bob@field.test "Four"
then   within 10m  field hears "Four"
then   within 1m   field hears "Three" before "Four"
