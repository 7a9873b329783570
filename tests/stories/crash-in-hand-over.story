# A site crashes again and again while it accepts and hands over: nothing is lost, nothing is doubled without a warning.
sites    hq field
links    hf
seed     5

hq     mail to=clerk@hq.test times=5 "First"
hq     crash after 30 outputs
wait   2m
hq     crash after 15 outputs
hq     mail to=clerk@hq.test times=5 "Second"
wait   2m
hq     mail to=clerk@hq.test,duty@hq.test times=3 "Third"
hq     crash after 45 outputs
then   within 30m  everything is delivered
