# The same over an IP network that loses one datagram in ten.
sites    hq field ship
links    udp
seed     18

network loss 10
hq     mail to=watch@field.test,captain@ship.test size=20K kind=random "By IP"
then   within 10m  field has "By IP"
then   within 10m  ship has "By IP"
then   within 10m  everything is delivered
