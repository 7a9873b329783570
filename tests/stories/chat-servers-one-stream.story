# What the gateway says on a stream that the server made, without stream management, arrives once, and goes on arriving.
sites    hq field
weather  calm
seed     48
chat     servers=dialback filter=none

field  chat bob to ann@hq.test "I have a stream"
then   within 2m   hq hears "I have a stream"
hq     chat ann to bob@field.test "One"
hq     chat ann to bob@field.test "Two"
then   within 2m   field hears "Two"
then   field hears 2 texts
never  within 10m  field hears 3 texts
hq     chat ann to bob@field.test "Three"
then   within 2m   field hears "Three"
never  within 10m  field hears 4 texts
