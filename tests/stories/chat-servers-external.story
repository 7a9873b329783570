# The gateways are servers to the local servers inside TLS, by certificates, with stream management.
sites    hq field
weather  calm
seed     48
chat     servers=external over=tcp filter=none

hq     chat ann to bob@field.test "One"
then   within 30s  field hears "One"
field  chat bob to ann@hq.test "Two"
then   within 30s  hq hears "Two"
field  server down 2m
hq     chat ann to bob@field.test "Three"
then   within 10m  field hears "Three"
field  crash after 20 outputs
hq     chat ann to bob@field.test "Four"
hq     chat ann to bob@field.test "Five"
then   within 10m  field hears "Five"
then   field hears "Four" before "Five"
