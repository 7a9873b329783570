# Each mail to several sites gets a multicast group of its own: asked for, announced, given back. A FLASH does not wait for
# one. Who is not named hears nothing. One datagram in ten is lost.
sites    hq field ship boat
links    groups
seed     23

network loss 10
hq     mail to=watch@field.test,captain@ship.test size=20K kind=random "For two"
then   within 2s   hq shows "waiting for a group of its own"
hq     mail to=watch@field.test,captain@ship.test precedence=flash "At once"
then   within 5s   ship has "At once"
then   within 10m  field has "For two"
then   within 10m  ship has "For two"
boat   mail to=desk@hq.test,watch@field.test,captain@ship.test "From the boat"
then   within 10m  ship has "From the boat"
hq     mail to=watch@field.test,captain@ship.test "Again"
wait   15s
hq     crash for 5s
then   within 20m  ship has "Again"
then   within 20m  field has "Again"
then   within 10m  everything is delivered
